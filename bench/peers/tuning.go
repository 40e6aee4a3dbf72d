package main

import (
	"fmt"
	"slices"
	"strings"
)

// reference is what the bare libraries reached when they were compared with nothing around them, on
// two other cores with 15,000 connections. The centrifuge library was not among them.
type reference struct {
	peer                           string
	idle, auth, beat, four, sixty4 float64
}

func references() []reference {
	return []reference{
		{"node", 4623, 106, 26, 109_000, 111_000},
		{"gorilla", 7183, 77, 17, 204_000, 223_000},
		{"coder", 17164, 64, 20, 149_000, 152_000},
	}
}

// worse is how much worse a peer is than its reference at one figure.
type worse struct {
	peer, text   string
	before, here float64
	by           float64
	isMemory     bool // which a slower processor does not make larger
}

// slack is how much worse than the others a peer may be before this bench is to blame.
const slack = 1.2

func compared(r *report) (all []worse) {
	for _, p := range references() {
		for _, f := range []struct {
			scenario, key, text string
			before              float64
			isRate, isMemory    bool
		}{
			{"idle", "everything.bytes", "bytes of a machine", p.idle, false, true},
			{"auth", "key.cpuMicros", "us for a connect and auth", p.auth, false, false},
			{"heartbeat", "cpuMicros", "us for a heartbeat", p.beat, false, false},
			{"fanout", "live128.with4.perSecond", "deliveries/s, 4 on their way", p.four, true, false},
			{"fanout", "live128.with64.perSecond", "deliveries/s, 64 on their way", p.sixty4, true, false},
		} {
			here, found := r.value(p.peer, f.scenario, f.key)
			if !found || here == 0 {
				continue
			}
			by := here / f.before
			if f.isRate {
				by = f.before / here
			}
			all = append(all, worse{p.peer, f.text, f.before, here, by, f.isMemory})
		}
	}
	return all
}

// common is how much slower this host is: the median of all that processors decide.
func common(all []worse) float64 {
	var by []float64
	for _, w := range all {
		if !w.isMemory {
			by = append(by, w.by)
		}
	}
	if len(by) == 0 {
		return 1
	}
	slices.Sort(by)
	return by[len(by)/2]
}

// tuning shows whether the other servers do here what they can: a host is slower by one factor for
// all of them.
func tuning(b *strings.Builder, r *report) {
	all := compared(r)
	if len(all) == 0 {
		return
	}
	factor := common(all)
	fmt.Fprintf(b, "\n## Whether the other servers are well tuned\n\n"+
		"The same libraries with nothing around them, measured on another host, beside this run. That host was\n"+
		"%.2f times as fast, by the median of all rows but those of memory. A server that is more than %.0f %%\n"+
		"worse than that is a defect of this bench.\n\n", factor, 100*(slack-1))
	b.WriteString("| | | then | now | worse by | beside the host |\n|---|---|---:|---:|---:|---|\n")
	for _, w := range all {
		rest := w.by / factor
		if w.isMemory {
			rest = w.by
		}
		verdict := ""
		if rest > slack {
			verdict = " **defect**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2fx | %.2fx%s |\n", w.peer, w.text, short(w.before), short(w.here), w.by, rest, verdict)
	}
}
