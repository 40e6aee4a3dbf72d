package gateway

import (
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
)

func TestAbsenceIsBelievedOnlyBesideAControl(t *testing.T) {
	f, n, u := directory.Found, directory.NotFound, directory.Unavailable
	for _, c := range []struct {
		name     string
		verdicts []directory.Verdict
		want     bool
	}{
		{"an empty answer", nil, false},
		{"nothing found at all", []directory.Verdict{n, n, n}, false},
		{"one absent, alone", []directory.Verdict{n}, false},
		{"one of two absent", []directory.Verdict{f, n}, false},
		{"a fifth absent", []directory.Verdict{f, f, f, f, n}, true},
		{"more than a fifth absent", []directory.Verdict{f, f, f, n}, false},
		{"an outage", []directory.Verdict{u, u, u, u, u}, false},
		{"an outage with one absent", []directory.Verdict{u, u, u, u, u, n}, false},
	} {
		if got := isCredible(c.verdicts); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
