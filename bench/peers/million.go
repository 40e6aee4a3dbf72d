package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// millionScenario is the simulation of what no host here holds with sockets: a million sessions.
const millionScenario = "million"

// millionCommand is run in the gateway's module.
func millionCommand() []string {
	return []string{"test", "-run", "^$", "-bench", "Million", "-benchtime", "1x", "./internal/gateway"}
}

// simulate runs the simulation and adds what it printed to the report and to its text.
func simulate(ctx context.Context, r *report, text []byte, module string) ([]byte, error) {
	fmt.Fprintf(os.Stderr, "%s: fleetline\n", millionScenario)
	command := exec.CommandContext(ctx, "go", millionCommand()...)
	command.Dir = module
	command.Stderr = os.Stderr
	began := time.Now()
	out, err := command.Output()
	if err != nil {
		return text, fmt.Errorf("simulating a million sessions: %w", err)
	}
	x := result{
		Scenario: millionScenario, Server: "fleetline", Figures: figuresOf(string(out)),
		Took:  math.Round(time.Since(began).Seconds()*10) / 10,
		Notes: []string{"printed by `go " + strings.Join(millionCommand(), " ") + "`: sessions and gateway are real, sockets and rows are not"},
	}
	if len(x.Figures) == 0 {
		return text, errors.New("simulating a million sessions: no figures were printed")
	}
	r.Results = append(r.Results, x)
	return appendResult(text, x)
}

// figuresOf reads the line of a Go benchmark: the name and the number of runs, then values and units.
func figuresOf(out string) (all []figure) {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 4 || !strings.HasPrefix(words[0], "BenchmarkMillion") {
			continue
		}
		for i := 2; i+1 < len(words); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil && words[i+1] != "ns/op" {
				unit, what, _ := strings.Cut(words[i+1], "/")
				all = append(all, figure{Key: words[i+1], Text: textOf(what), Unit: unit, Value: v})
			}
		}
	}
	return all
}

// textOf says what the benchmark's word means.
func textOf(what string) string {
	switch what {
	case "session":
		return "memory of a session, beside its socket"
	case "GC-cycle":
		return "CPU of a cycle of the garbage collector"
	case "heartbeats":
		return "pinging all and hearing their answers, in every heartbeat of 30 s"
	case "sweeps":
		return "comparing all with the directory every 5 s"
	case "delivery":
		return "CPU of a message to all, for each"
	case "deletion":
		return "CPU of deleting 100,000, for each"
	case "connect":
		return "CPU of letting one in by key"
	}
	return what
}

// appendResult adds a result to what bench printed, and leaves the rest as it was.
func appendResult(text []byte, x result) ([]byte, error) {
	var whole struct {
		Host     json.RawMessage   `json:"host"`
		Machines json.RawMessage   `json:"machines"`
		Rounds   json.RawMessage   `json:"rounds"`
		Seconds  json.RawMessage   `json:"seconds"`
		Results  []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return text, err
	}
	one, err := json.Marshal(x)
	if err != nil {
		return text, err
	}
	whole.Results = append(whole.Results, one)
	all, err := json.MarshalIndent(whole, "", "\t")
	return append(all, '\n'), err
}
