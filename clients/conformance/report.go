package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report prints verdicts, for people or for programs.
type report struct {
	out    io.Writer
	asJSON bool
	passed int
	failed int
}

// jsonVerdict is what --json prints for each case.
type jsonVerdict struct {
	Case    string  `json:"case"`
	Why     string  `json:"why"`
	Passed  bool    `json:"passed"`
	Wrong   string  `json:"wrong,omitempty"`
	Stderr  string  `json:"stderr,omitempty"`
	Seconds float64 `json:"seconds"`
}

func (r *report) add(v Verdict) {
	passed := v.Wrong == ""
	if passed {
		r.passed++
	} else {
		r.failed++
	}
	if r.asJSON {
		_ = json.NewEncoder(r.out).Encode(jsonVerdict{v.Case.Name, v.Case.Why, passed, v.Wrong, v.Said, v.Took.Seconds()})
		return
	}
	word := "pass"
	if !passed {
		word = "FAIL"
	}
	fmt.Fprintf(r.out, "%s  %5.1f s  %s\n", word, v.Took.Seconds(), v.Case.Name)
	if !passed {
		fmt.Fprintf(r.out, "      wrong: %s\n      why: %s\n", v.Wrong, v.Case.Why)
		for said := range strings.Lines(v.Said) {
			fmt.Fprintf(r.out, "      | %s\n", strings.TrimRight(said, "\n"))
		}
	}
}

// end says what came of it all, and is the exit code.
func (r *report) end() int {
	if !r.asJSON {
		fmt.Fprintf(r.out, "%d cases: %d passed, %d failed\n", r.passed+r.failed, r.passed, r.failed)
	}
	if r.failed > 0 || r.passed == 0 {
		return 1
	}
	return 0
}

func printCases(out io.Writer, all []Case) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(table, "%s\t%s\n", c.Name, c.Why)
	}
	_ = table.Flush()
}
