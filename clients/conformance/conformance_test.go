package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ourSuite is patient: a machine that runs all tests at once may take long over anything.
func ourSuite(command ...string) *suite {
	return &suite{command: command, parallel: 8, patience: 3 * time.Minute}
}

func TestTheGoSDKPassesEveryCase(t *testing.T) {
	program := filepath.Join(t.TempDir(), "gosdk")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./gosdk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as lint compiles, so that nothing is compiled twice
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	passesEveryCase(t, ourSuite(program))
}

func TestTheJavaScriptClientPassesEveryCase(t *testing.T) {
	program, err := filepath.Abs("../js/test/machine.js")
	if err != nil {
		t.Fatal(err)
	}
	passesEveryCase(t, ourSuite("node", program))
}

func passesEveryCase(t *testing.T, s *suite) {
	t.Parallel()
	all := cases()
	judged := 0
	for v := range s.play(t.Context(), all) {
		judged++
		if v.Wrong != "" {
			t.Errorf("%s: %s (%s)\n%s", v.Case.Name, v.Wrong, v.Case.Why, v.Said)
		}
	}
	if judged != len(all) || judged < 100 {
		t.Errorf("%d of %d cases were judged", judged, len(all))
	}
}

func TestEveryCaseHasItsOwnNameAndAReason(t *testing.T) {
	seen := map[string]bool{}
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases() {
		group, _, _ := strings.Cut(c.Name, "/")
		if seen[c.Name] || len(c.Why) < 20 || c.Play == nil {
			t.Errorf("the case %q: seen before %v, why %q", c.Name, seen[c.Name], c.Why)
		}
		if !strings.Contains(string(page), "`"+group+"/`") {
			t.Errorf("README.md does not name the group %s", group)
		}
		seen[c.Name] = true
	}
}
