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

const (
	connects   = "us for a connect and auth, page faults apart"
	withFour   = "deliveries/s, 4 on their way"
	withSixty4 = "deliveries/s, 64 on their way"
)

// alone is a row that a server of a few lines makes worse than the host does, too.
type alone struct {
	peer, text string
	by         float64
	why        string
}

func libraries() []alone {
	const entering = "a loop of net.Conn.Write without any library is as slow: beside the write there is the way into the " +
		"kernel, and the runtime's watch over who is there"
	return []alone{
		{"gorilla", withFour, 1.3, entering},
		{"gorilla", withSixty4, 1.4, entering},
	}
}

// slack is how much worse than the host a peer may be before this bench is to blame.
const slack = 1.2

// kind is what decides a figure.
type kind int

const (
	programs kind = iota // the processor's speed, by the median of all such rows
	writes               // the kernel's, by what a write cost when the figure was measured
	memory               // nothing of the host
)

func compared(r *report) (all []worse) {
	var byPrograms []float64
	var isProgram []int
	for _, p := range references() {
		for _, f := range []struct {
			scenario, key, text string
			before              float64
			isRate              bool
			kind                kind
		}{
			{"idle", "everything.bytes", "bytes of a machine", p.idle, false, memory},
			{"auth", "key.cpuMicros", connects, p.auth, false, programs},
			{"heartbeat", "cpuMicros", "us for a heartbeat", p.beat, false, programs},
			{"fanout", "live128.with4.perSecond", withFour, p.four, true, writes},
			{"fanout", "live128.with64.perSecond", withSixty4, p.sixty4, true, writes},
		} {
			here, found := r.value(p.peer, f.scenario, f.key)
			if !found || here == 0 {
				continue
			}
			if f.text == connects {
				here -= r.faulting(p.peer)
			}
			w := worse{peer: p.peer, text: f.text, before: f.before, here: here, by: here / f.before, host: 1}
			if f.isRate {
				w.by = 1 / w.by
			}
			switch f.kind {
			case writes:
				w.host = r.write(p.peer, f.scenario) / referenceWrite
			case programs:
				byPrograms, isProgram = append(byPrograms, w.by), append(isProgram, len(all))
			}
			all = append(all, w)
		}
	}
	slices.Sort(byPrograms)
	for _, i := range isProgram {
		all[i].host = byPrograms[len(byPrograms)/2]
	}
	return all
}

// faulting is what a connect and auth took of the host, and not of the server: page faults. They are as
// many as the server happened to have given back memory before, and a virtual host charges them dearly.
func (r *report) faulting(server string) float64 {
	x := r.of(server, "auth")
	if f := x.figure("key.faults"); f != nil {
		return f.Value * x.Fault
	}
	return 0
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
		"this host is: for connecting and heartbeats the median of all such rows, for deliveries what a write to\n"+
		"one of many sockets cost before and after them (there %g us). What page faults cost here (their number\n"+
		"and price stand above) is taken off where machines connect. A server that is more than %.0f %% worse than\n"+
		"that is a defect of this bench, but where less than the library is.\n\n", referenceWrite, 100*(slack-1))
	b.WriteString("| | | then | now | worse by | the host by | beside the host |\n|---|---|---:|---:|---:|---:|---|\n")
	for _, w := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2fx | %.2fx | %.2fx%s |\n",
			w.peer, w.text, short(w.before), short(w.here), w.by, w.host, w.by/w.host, w.verdict())
	}
}

func (w worse) verdict() string {
	beside := w.by / w.host
	if beside <= slack {
		return ""
	}
	for _, l := range libraries() {
		if l.peer == w.peer && l.text == w.text && beside <= l.by*slack {
			return " (" + l.why + ")"
		}
	}
	return " **defect**"
}
