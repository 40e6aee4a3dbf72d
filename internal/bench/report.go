package bench

import (
	"slices"
	"strings"
)

// Report is all that one run measured.
type Report struct {
	Host     Host     `json:"host"`
	Machines int      `json:"machines"`
	Rounds   int      `json:"rounds"`  // in which each scenario was measured, at each server in its turn; idle and slow once
	Seconds  float64  `json:"seconds"` // how long each rate was measured
	Results  []Result `json:"results"`
}

// Host describes the machine that the run was made on.
type Host struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	MemoryMiB uint64 `json:"memoryMiB"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Revision  string `json:"revision,omitempty"`
	System    string `json:"system"`
}

// Result is one scenario at one server.
type Result struct {
	Scenario string `json:"scenario"`
	Server   string `json:"server"`
	// Load is the system's load average over a minute before the scenario began: what else ran.
	Load float64 `json:"loadBefore"`
	// Write is the CPU time, in microseconds, that one write of 128 bytes to one socket of many took this
	// host, just before and just after: by that the kernel's share of a figure can be told from the server's.
	Write float64 `json:"writeMicros"`
	// Fault is the same of the first touch of a page of memory.
	Fault   float64  `json:"faultMicros"`
	Took    float64  `json:"tookSeconds"`
	Figures []Figure `json:"figures"`
	Notes   []string `json:"notes,omitempty"`
	// Profiles are files in Config.Profiles: where the CPU time of the gateway went.
	Profiles []string `json:"profiles,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// Figure is one measured number. Keys are stable and unique within a scenario.
type Figure struct {
	Key   string  `json:"key"`
	Text  string  `json:"text"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	// Rounds are what was measured in each round, where there are several; Value is their median.
	Rounds []float64 `json:"rounds,omitempty"`
}

// medianOf makes one result of those of one scenario at one server in several rounds.
func medianOf(rounds []Result) Result {
	all := Result{Scenario: rounds[0].Scenario, Server: rounds[0].Server, Figures: []Figure{}}
	all.Load = medianBy(rounds, func(r Result) float64 { return r.Load })
	all.Write = medianBy(rounds, func(r Result) float64 { return r.Write })
	all.Fault = medianBy(rounds, func(r Result) float64 { return r.Fault })
	all.Took = medianBy(rounds, func(r Result) float64 { return r.Took })
	var failed []string
	for _, r := range rounds {
		for _, f := range r.Figures {
			all.add(f)
		}
		for _, note := range r.Notes {
			if !slices.Contains(all.Notes, note) {
				all.Notes = append(all.Notes, note)
			}
		}
		all.Profiles = append(all.Profiles, r.Profiles...)
		if r.Error != "" {
			failed = append(failed, r.Error)
		}
	}
	all.Error = strings.Join(failed, "; ")
	for i := range all.Figures {
		all.Figures[i].settle()
	}
	return all
}

// profile takes over the profiles of a round that is not told.
func (r *Result) profile(round Result) {
	r.Profiles = round.Profiles
	if round.Error != "" {
		r.Notes = append(r.Notes, "the profiles are not whole: "+round.Error)
	}
}

// add notes what a round measured.
func (r *Result) add(f Figure) {
	if r.Figure(f.Key) == nil {
		r.Figures = append(r.Figures, f)
	}
	own := r.Figure(f.Key)
	own.Rounds = append(own.Rounds, f.Value)
}

// settle takes the median for the figure.
func (f *Figure) settle() {
	f.Value = medianBy(f.Rounds, func(v float64) float64 { return v })
	if len(f.Rounds) == 1 {
		f.Rounds = nil
	}
}

// medianBy is the middle value; of an even number of them the mean of the two.
func medianBy[T any](all []T, value func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, x := range all {
		values[i] = value(x)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// Servers are the servers of the report, the gateway first.
func (r *Report) Servers() []string {
	return distinct(r.Results, func(x Result) string { return x.Server })
}

// Scenarios are the scenarios of the report, in order.
func (r *Report) Scenarios() []string {
	return distinct(r.Results, func(x Result) string { return x.Scenario })
}

// Of finds the result of a scenario at a server; nil if there is none.
func (r *Report) Of(scenario, server string) *Result {
	for i := range r.Results {
		if x := &r.Results[i]; x.Scenario == scenario && x.Server == server {
			return x
		}
	}
	return nil
}

// Figure finds a figure by its key; nil if there is none.
func (r *Result) Figure(key string) *Figure {
	if r == nil {
		return nil
	}
	for i := range r.Figures {
		if r.Figures[i].Key == key {
			return &r.Figures[i]
		}
	}
	return nil
}

func distinct(results []Result, name func(Result) string) []string {
	var names []string
	seen := map[string]bool{}
	for _, r := range results {
		if n := name(r); !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}
