package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// report is what `fleetline bench --json` prints, as far as the page needs it.
type report struct {
	Host struct {
		CPU       string `json:"cpu"`
		Cores     int    `json:"cores"`
		MemoryMiB int    `json:"memoryMiB"`
		Kernel    string `json:"kernel"`
		Go        string `json:"go"`
		Revision  string `json:"revision"`
		System    string `json:"system"`
	} `json:"host"`
	Machines int      `json:"machines"`
	Rounds   int      `json:"rounds"`
	Seconds  float64  `json:"seconds"`
	Results  []result `json:"results"`
}

type result struct {
	Scenario string   `json:"scenario"`
	Server   string   `json:"server"`
	Load     float64  `json:"loadBefore,omitempty"`
	Write    float64  `json:"writeMicros,omitempty"`
	Fault    float64  `json:"faultMicros,omitempty"`
	Took     float64  `json:"tookSeconds"`
	Figures  []figure `json:"figures"`
	Notes    []string `json:"notes,omitempty"`
	Profiles []string `json:"profiles,omitempty"` // files
	Error    string   `json:"error,omitempty"`
}

type figure struct {
	Key   string  `json:"key"`
	Text  string  `json:"text"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	// Rounds are what was measured in each round, where there are several; Value is their median.
	Rounds []float64 `json:"rounds,omitempty"`
}

const preface = `# Benchmarks

This page is written by ` + "`make bench`" + ` and not by hand; every number on it was printed by the commands
below, and stands in benchmarks.json as well. Load and servers share the processors of one host, so
what counts are the figures of one run beside each other: in brackets, fleetline's figure as a
multiple of the other server's. The others are as tuned as their documents advise and do less:
they check no key, sign no token, store nothing and limit nobody (bench/peers).

`

// page is the report for people. Tops are what each scenario spent the gateway's time or memory on.
func page(r *report, args []string, tops map[string]string) string {
	var b strings.Builder
	b.WriteString(preface)
	h := r.Host
	fmt.Fprintf(&b, "- Command: `make bench%s`, which runs `fleetline bench --json %s --profiles FOLDER\n"+
		"  --peer=...`, `go tool pprof -top` on the profiles and, where everything is measured, a simulation (million)\n",
		benchArgs(args), strings.Join(thrice(), " "))
	fmt.Fprintf(&b, "- Host: %s, %d cores, %d MiB, Linux %s, %s, %s\n", h.CPU, h.Cores, h.MemoryMiB, h.Kernel, h.System, h.Go)
	if h.Revision != "" {
		fmt.Fprintf(&b, "- Revision: %s\n", h.Revision)
	}
	fmt.Fprintf(&b, "- %d machines; each rate over %g s\n", r.Machines, r.Seconds)
	fmt.Fprintf(&b, "- Rounds: %d, in each of which every server had its turn. What is told is the median; benchmarks.json has\n"+
		"  them all. idle (memory), slow (medians itself) and million were measured once\n", r.Rounds)
	overview(&b, r)
	for _, scenario := range names(r.Results, func(x result) string { return x.Scenario }) {
		section(&b, r, scenario, tops[scenario])
	}
	tuning(&b, r)
	return b.String()
}

func benchArgs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return ` BENCH="` + strings.Join(args, " ") + `"`
}

func section(b *strings.Builder, r *report, scenario, top string) {
	of := slices.DeleteFunc(slices.Clone(r.Results), func(x result) bool { return x.Scenario != scenario })
	fmt.Fprintf(b, "\n## %s\n\n| | unit |", scenario)
	for _, x := range of {
		fmt.Fprintf(b, " %s |", x.Server)
	}
	b.WriteString(" goal |\n|---|---|" + strings.Repeat("---:|", len(of)) + "---|\n")
	for _, f := range of[0].Figures {
		fmt.Fprintf(b, "| %s | %s | %s |", f.Text, f.Unit, short(f.Value))
		for _, other := range of[1:] {
			fmt.Fprintf(b, " %s |", beside(f, other))
		}
		fmt.Fprintf(b, " %s |\n", goalsBeside(r, scenario, f))
	}
	b.WriteString("\n")
	misses(b, r, scenario)
	for _, x := range of {
		remarks(b, x)
	}
	if top != "" {
		fmt.Fprintf(b, "\nWhat fleetline spent here (`go tool pprof -top`, all its parts together):\n\n```\n%s```\n", top)
	}
}

func remarks(b *strings.Builder, x result) {
	fmt.Fprintf(b, "- %s: took %g s", x.Server, x.Took)
	if x.Write > 0 {
		fmt.Fprintf(b, "; before it the load average was %.2f, and one write of 128 B to a socket, before and after it, took %g us of CPU, and a fresh page of memory %g us",
			x.Load, x.Write, x.Fault)
	}
	b.WriteString("\n")
	for _, note := range x.Notes {
		fmt.Fprintf(b, "- %s: %s\n", x.Server, note)
	}
	if x.Error != "" {
		cause, _, _ := strings.Cut(x.Error, "\n")
		fmt.Fprintf(b, "- %s: **not measured whole**: %s\n", x.Server, cause)
	}
}

func beside(f figure, other result) string {
	its := other.figure(f.Key)
	switch {
	case its == nil:
		return ""
	case its.Value == 0:
		return short(0)
	}
	return fmt.Sprintf("%s (%.2fx)", short(its.Value), f.Value/its.Value)
}

// figure finds a figure by its key. A scenario that was not measured whole may miss some: nil.
func (x result) figure(key string) *figure {
	for i := range x.Figures {
		if x.Figures[i].Key == key {
			return &x.Figures[i]
		}
	}
	return nil
}

// figure finds what a server reached; nil if it was not measured.
func (r *report) figure(server, scenario, key string) *figure {
	if x := r.of(server, scenario); x != nil {
		return x.figure(key)
	}
	return nil
}

// of finds the result of a scenario at a server; nil if there is none.
func (r *report) of(server, scenario string) *result {
	for i := range r.Results {
		if x := &r.Results[i]; x.Server == server && x.Scenario == scenario {
			return x
		}
	}
	return nil
}

// value is what a server reached.
func (r *report) value(server, scenario, key string) (v float64, found bool) {
	if f := r.figure(server, scenario, key); f != nil {
		return f.Value, true
	}
	return 0, false
}

// short keeps three digits, or all that stand before the point.
func short(v float64) string {
	if v == 0 || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func names(results []result, of func(result) string) (all []string) {
	for _, x := range results {
		if n := of(x); !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}
