package bench

// Report is all that one run measured.
type Report struct {
	Host     Host     `json:"host"`
	Machines int      `json:"machines"`
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
	Write   float64  `json:"writeMicros"`
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
