package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/bench"
)

// TestEveryScenarioMeasures runs each scenario small against a real gateway and real workers. What is
// measured is not looked at, so nothing has to come to rest before.
func TestEveryScenarioMeasures(t *testing.T) {
	program, err := exec.LookPath("fleetline")
	if err != nil {
		t.Fatal(err)
	}
	for scenario, keys := range map[string][]string{
		"idle":      {"everything.bytes", "connected.bytes", "resident.MiB"},
		"auth":      {"enroll.cpuMicros", "key.cpuMicros", "key.perSecond", "key.p99Ms", "token.cpuMicros"},
		"heartbeat": {"alone.cpuPercent", "cpuMicros", "perSecond"},
		"fanout":    {"live128.last.p50Ms", "stored1024.last.p50Ms", "live128.with4.perSecond", "live128.with64.perSecond", "stored128.with64.perSecond"},
		"unicast":   {"stored.p50Ms", "stored.p99.9Ms", "live.p99Ms"},
		"storm":     {"killKey.allBackMs", "killToken.allBackMs", "drainToken.allBackMs", "drainToken.longestWaitMs"},
		"delete":    {"goodbye.p50Ms", "goodbye.maxMs"},
		"slow":      {"without.p99Ms", "with.p99Ms", "p99Ratio", "stopped.p99Ratio", "stopped.peakMiB"},
	} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			profiles := t.TempDir()
			report, err := bench.Run(t.Context(), bench.Config{
				Program: program, Scenarios: []string{scenario}, Machines: 200, Duration: 250 * time.Millisecond,
				Rest: time.Millisecond, Profiles: profiles,
			})
			if err != nil {
				t.Fatal(err, report.Of(scenario, "fleetline"))
			}
			result := report.Of(scenario, "fleetline")
			for _, key := range keys {
				if result.Figure(key) == nil {
					t.Errorf("there is no figure %s", key)
				}
			}
			seen := map[string]bool{}
			for _, f := range result.Figures {
				if seen[f.Key] {
					t.Errorf("the key %s stands there twice", f.Key)
				}
				seen[f.Key] = true
			}
			for _, name := range result.Profiles {
				if info, err := os.Stat(filepath.Join(profiles, name)); err != nil || info.Size() == 0 {
					t.Errorf("the profile %s is not there: %v", name, err)
				}
			}
			if len(result.Profiles) == 0 {
				t.Error("there is no profile")
			}
			t.Log(result.Notes)
		})
	}
}

func TestInEachRoundEverythingIsMeasuredAnew(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("fleetline")
	if err != nil {
		t.Fatal(err)
	}
	report, err := bench.Run(t.Context(), bench.Config{
		Program: program, Scenarios: []string{"auth"}, Machines: 200, Duration: 250 * time.Millisecond,
		Rest: time.Millisecond, Rounds: 3, Profiles: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	result := report.Of("auth", "fleetline")
	if len(report.Results) != 1 || len(result.Profiles) != 3 {
		t.Errorf("there are %d results, and profiles %q; want one result, and profiles of one round", len(report.Results), result.Profiles)
	}
	for _, f := range result.Figures {
		if len(f.Rounds) != 3 || f.Value < slices.Min(f.Rounds) || f.Value > slices.Max(f.Rounds) {
			t.Errorf("%s is %g of the rounds %v", f.Key, f.Value, f.Rounds)
		}
	}
}

func TestEveryScenarioIsTested(t *testing.T) {
	if got := len(bench.Scenarios()); got != 8 {
		t.Errorf("there are %d scenarios; add the new ones to TestEveryScenarioMeasures", got)
	}
}
