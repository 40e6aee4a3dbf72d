package main

import (
	"fmt"
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

// referenceWrite is how many microseconds of CPU one write to a socket took there.
const referenceWrite = 3.6

// worse is how much worse a peer is than its reference at one figure.
type worse struct {
	peer, text   string
	before, here float64
	by           float64
	// host is how much slower this host makes everybody at it.
	host float64
}

// slack is how much worse than the host a peer may be before this bench is to blame.
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
			w := worse{peer: p.peer, text: f.text, before: f.before, here: here, by: here / f.before, host: 1}
			if f.isRate {
				w.by = 1 / w.by
			}
			if !f.isMemory {
				w.host = r.write(p.peer, f.scenario) / referenceWrite
			}
			all = append(all, w)
		}
	}
	return all
}

// write is what a write cost around a scenario.
func (r *report) write(server, scenario string) float64 {
	if x := r.of(server, scenario); x != nil && x.Write > 0 {
		return x.Write
	}
	return referenceWrite
}

// tuning shows whether the other servers do here what they can.
func tuning(b *strings.Builder, r *report) {
	all := compared(r)
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Whether the other servers are well tuned\n\n"+
		"The same libraries with nothing around them, measured on another host, beside this run. How much slower\n"+
		"this host is: what a write to one of many sockets cost before and after (there %g us), for most of all\n"+
		"this is the kernel's. A server that is more than %.0f %% worse than that is a defect of this bench.\n\n", referenceWrite, 100*(slack-1))
	b.WriteString("| | | then | now | worse by | the host by | beside the host |\n|---|---|---:|---:|---:|---:|---|\n")
	for _, w := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2fx | %.2fx | %.2fx%s |\n",
			w.peer, w.text, short(w.before), short(w.here), w.by, w.host, w.by/w.host, w.verdict())
	}
}

func (w worse) verdict() string {
	if w.by/w.host <= slack {
		return ""
	}
	return " **defect**"
}
