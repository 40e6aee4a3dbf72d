package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// measured is a report of one figure for each server.
func measured(scenario, key string, values map[string]float64) *report {
	r := &report{Machines: goalMachines}
	for _, server := range []string{"fleetline", "node", "gorilla", "coder"} {
		if v, found := values[server]; found {
			r.Results = append(r.Results, result{Scenario: scenario, Server: server, Figures: []figure{{Key: key, Text: "a figure", Value: v}}})
		}
	}
	return r
}

func TestAGoalIsReachedByWhatIsPrinted(t *testing.T) {
	for _, c := range []struct {
		goal      goal
		own, node float64
		want      string
	}{
		{atMost("s", "k", 8.5), 8.504, 0, "<= 8.5: reached"},
		{atMost("s", "k", 8.5), 8.52, 0, "<= 8.5: **missed**"},
		{atLeast("s", "k", 500_000), 499_900, 0, ">= 500000: reached"},
		{atLeast("s", "k", 500_000), 498_000, 0, ">= 500000: **missed**"},
		{atMost("s", "k", .35).of("node"), 7, 20, "<= 0.35x node: reached"},
		{atMost("s", "k", .35).of("node"), 8, 20, "<= 0.35x node: **missed**"},
		{atLeast("s", "k", 10).of("node"), 99, 10, ">= 10x node: **missed**"},
	} {
		r := measured("s", "k", map[string]float64{"fleetline": c.own, "node": c.node})
		if got := c.goal.judge(r).String(); got != c.want {
			t.Errorf("%g beside %g: got %q, want %q", c.own, c.node, got, c.want)
		}
	}
}

func TestAGoalBesideAPeerThatIsMissingIsNotMeasured(t *testing.T) {
	r := measured("s", "k", map[string]float64{"fleetline": 1})
	if got := atMost("s", "k", .35).of("node").judge(r).String(); !strings.HasSuffix(got, "not measured") {
		t.Errorf("got %q", got)
	}
}

func TestThePageTellsByHowMuchAGoalIsMissed(t *testing.T) {
	r := measured("heartbeat", "cpuMicros", map[string]float64{"fleetline": 17, "node": 100})
	got := page(r, nil, map[string]string{"heartbeat": "the profile\n"})
	missed := goals()[slices.IndexFunc(goals(), func(g goal) bool { return g.scenario == "heartbeat" })]
	for _, want := range []string{
		"| a figure |  | 17 | 100 (0.17x) | <= 8.5: **missed**; <= 0.35x node: reached |",
		"- **Missed** by 100 %: a figure 17, where the goal is <= 8.5. What holds it back: " + missed.why + ".",
		"```\nthe profile\n```",
		"- Goals: 1 of 2 that were measured are reached",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q:\n%s", want, got)
		}
	}
}

func TestThePageTellsWhatWasReachedInEachRound(t *testing.T) {
	r := measured("heartbeat", "cpuMicros", map[string]float64{"fleetline": 12, "node": 30})
	r.Results[0].Figures[0].Rounds = []float64{10, 12, 15}
	r.Results[1].Figures[0].Rounds = []float64{40, 30, 20}
	got := page(r, nil, nil)
	for _, want := range []string{
		"a figure 12 (in the rounds: 10, 12, 15), where the goal is <= 8.5",
		"a figure 0.4x node (in the rounds: 0.25, 0.4, 0.75), where the goal is <= 0.35x node",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q:\n%s", want, got)
		}
	}
}

func TestEveryGoalSaysWhatHoldsItBack(t *testing.T) {
	for _, g := range goals() {
		if g.why == "" {
			t.Errorf("%s at %s, %s: nothing is said", g.key, g.scenario, g.wanted())
		}
	}
}

func TestAPeerThatIsSlowerThanTheHostIsADefectOfTheBench(t *testing.T) {
	r := measured("heartbeat", "cpuMicros", map[string]float64{"fleetline": 17, "node": 52, "gorilla": 34, "coder": 60})
	for i := range r.Results {
		r.Results[i].Write = 2 * referenceWrite
	}
	got := page(r, nil, nil)
	if n := strings.Count(got, "**defect**"); n != 1 || !strings.Contains(got, "3.00x | 2.00x | 1.50x **defect**") {
		t.Errorf("a peer that is three times as slow on a host that is twice as slow:\n%s", got)
	}
}

func TestNamesOfGenericFunctionsAreShortened(t *testing.T) {
	got := tableOf("File: x\nTime: now\n      flat  flat%   sum%\n 1s " + strings.Repeat("f", 500) + "\n")
	if strings.Contains(got, "File") || len(got) > 200 || !strings.HasPrefix(got, "      flat  flat%   sum%\n 1s ff") {
		t.Errorf("got %q", got)
	}
}

func TestTheSimulationIsReadAndAddedToWhatBenchPrinted(t *testing.T) {
	const printed = "goos: linux\nBenchmarkMillion-2   \t       1\t   152.4 B/session\t  0.071 cores/heartbeats\t 0 ns/op\nPASS\n"
	figures := figuresOf(printed)
	if len(figures) != 2 || figures[0].Key != "B/session" || figures[0].Value != 152.4 || figures[1].Unit != "cores" {
		t.Fatalf("read %+v", figures)
	}
	text, err := appendResult([]byte(`{"host":{"x":1},"machines":2,"rounds":4,"seconds":3,"results":[{"scenario":"idle"}]}`), result{Scenario: "million", Figures: figures})
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Host    map[string]int
		Rounds  int
		Results []result
	}
	if err := json.Unmarshal(text, &whole); err != nil || whole.Host["x"] != 1 || whole.Rounds != 4 || len(whole.Results) != 2 || whole.Results[1].Figures[0].Value != 152.4 {
		t.Errorf("%v: %s", err, text)
	}
}
