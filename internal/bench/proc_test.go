package bench

import (
	"testing"
	"time"
)

func TestTheCPUTimeIsReadBehindAnyProgramName(t *testing.T) {
	rest := " S 1 1 1 0 -1 4194560 100 200 0 0 123 77 5 6 20 0 9 0 12345 1000000 500"
	for _, name := range []string{"(fleetline)", "(a b)", "(odd) S 1)", "(((()"} {
		got, err := parseStat([]byte("4711 " + name + rest))
		if want := (use{2 * time.Second, 100}); err != nil || got != want {
			t.Errorf("of %s: got %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestWhatIsNoStatLineIsAnError(t *testing.T) {
	for _, text := range []string{"", "1", "1 (x)", "1 (x) S 1 2 3", "1 (x) S 1 1 1 0 -1 4194560 100 200 0 0 a b 5 6"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("of %q: got %v", text, got)
		}
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	m, err := parseStatus([]byte("Name:\tfleetline\nVmHWM:\t   99 kB\nVmRSS:\t   12345 kB\nRssAnon:\t    1000 kB\nRssFile:\t 1 kB\n"))
	if err != nil || m.resident != 12345<<10 || m.anonymous != 1000<<10 {
		t.Errorf("got %+v, %v", m, err)
	}
	for _, text := range []string{"", "VmRSS:\tx kB\nRssAnon:\t1 kB\n", "VmRSS:\t1 kB\n"} {
		if m, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("of %q: got %+v", text, m)
		}
	}
}

func TestTheProcessorAndTheLoadAreRead(t *testing.T) {
	if got := parseCPUModel("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"); got != "Some CPU @ 2 GHz" {
		t.Errorf("got %q", got)
	}
	if got := parseCPUModel("BogoMIPS: 1\n"); got != "unknown" {
		t.Errorf("got %q", got)
	}
	if got := loadOf("1.25 0.90 0.80 2/300 4711\n"); got != 1.25 {
		t.Errorf("got %v", got)
	}
}
