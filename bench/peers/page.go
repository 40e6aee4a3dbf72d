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
	Seconds  float64  `json:"seconds"`
	Results  []result `json:"results"`
}

type result struct {
	Scenario string   `json:"scenario"`
	Server   string   `json:"server"`
	Load     float64  `json:"loadBefore"`
	Took     float64  `json:"tookSeconds"`
	Figures  []figure `json:"figures"`
	Notes    []string `json:"notes"`
	Error    string   `json:"error"`
}

type figure struct {
	Key   string  `json:"key"`
	Text  string  `json:"text"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

const preface = `# Benchmarks

This page is written by ` + "`make bench`" + ` and not by hand; every number on it was printed by the command
below, and stands in benchmarks.json as well. Load and servers share the processors of one host, so
what counts are the figures of one run beside each other: in brackets, fleetline's figure as a
multiple of the other server's. The others are as tuned as their documents advise and do less:
they check no key, sign no token, store nothing and limit nobody (bench/peers).

`

// page is the report for people.
func page(r *report, args []string) string {
	var b strings.Builder
	b.WriteString(preface)
	h := r.Host
	fmt.Fprintf(&b, "- Command: `make bench%s`\n", benchArgs(args))
	fmt.Fprintf(&b, "- Host: %s, %d cores, %d MiB, Linux %s, %s, %s\n", h.CPU, h.Cores, h.MemoryMiB, h.Kernel, h.System, h.Go)
	if h.Revision != "" {
		fmt.Fprintf(&b, "- Revision: %s\n", h.Revision)
	}
	fmt.Fprintf(&b, "- %d machines; each rate over %g s\n", r.Machines, r.Seconds)
	for _, scenario := range names(r.Results, func(x result) string { return x.Scenario }) {
		of := slices.DeleteFunc(slices.Clone(r.Results), func(x result) bool { return x.Scenario != scenario })
		section(&b, scenario, of)
	}
	return b.String()
}

func benchArgs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return ` BENCH="` + strings.Join(args, " ") + `"`
}

func section(b *strings.Builder, scenario string, of []result) {
	fmt.Fprintf(b, "\n## %s\n\n| | unit |", scenario)
	for _, x := range of {
		fmt.Fprintf(b, " %s |", x.Server)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---:|", len(of)) + "\n")
	for _, f := range of[0].Figures {
		fmt.Fprintf(b, "| %s | %s | %s |", f.Text, f.Unit, short(f.Value))
		for _, other := range of[1:] {
			fmt.Fprintf(b, " %s |", beside(f, other))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, x := range of {
		fmt.Fprintf(b, "- %s: took %g s; load average before it %.2f\n", x.Server, x.Took, x.Load)
		for _, note := range x.Notes {
			fmt.Fprintf(b, "- %s: %s\n", x.Server, note)
		}
		if x.Error != "" {
			cause, _, _ := strings.Cut(x.Error, "\n")
			fmt.Fprintf(b, "- %s: **not measured whole**: %s\n", x.Server, cause)
		}
	}
}

func beside(f figure, other result) string {
	i := slices.IndexFunc(other.Figures, func(o figure) bool { return o.Key == f.Key })
	switch {
	case i < 0:
		return ""
	case other.Figures[i].Value == 0:
		return short(0)
	}
	v := other.Figures[i].Value
	return fmt.Sprintf("%s (%.2fx)", short(v), f.Value/v)
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
