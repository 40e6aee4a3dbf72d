package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	err := Config{Scenarios: []string{"idle", "x"}, Machines: 1, Duration: time.Hour, Rounds: -1}.Check()
	for _, part := range []string{`no scenario "x"`, "1 machines are too few", "a duration of 1h0m0s", "-1 rounds", "the program is missing"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	if err := (Config{Program: "p"}).Check(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestAPeerIsANameAndACommand(t *testing.T) {
	p, err := ParsePeer("node=node --x=1 server.js")
	if err != nil || p.Name != "node" || !slices.Equal(p.Command, []string{"node", "--x=1", "server.js"}) {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, text := range []string{"", "node", "=x", "node=", "node= "} {
		if p, err := ParsePeer(text); err == nil {
			t.Errorf("%q was read as %+v", text, p)
		}
	}
}

func TestAReportFindsItsFigures(t *testing.T) {
	r := Report{Results: []Result{
		{Scenario: "idle", Server: "fleetline", Figures: []Figure{{Key: "a", Value: 1}}},
		{Scenario: "idle", Server: "node"},
		{Scenario: "auth", Server: "fleetline"},
	}}
	if got := r.Servers(); !slices.Equal(got, []string{"fleetline", "node"}) {
		t.Errorf("the servers are %q", got)
	}
	if got := r.Scenarios(); !slices.Equal(got, []string{"idle", "auth"}) {
		t.Errorf("the scenarios are %q", got)
	}
	if f := r.Of("idle", "fleetline").Figure("a"); f == nil || f.Value != 1 {
		t.Errorf("got %v", f)
	}
	if r.Of("idle", "fleetline").Figure("b") != nil || r.Of("auth", "node").Figure("a") != nil {
		t.Error("there are figures that are not there")
	}
}
