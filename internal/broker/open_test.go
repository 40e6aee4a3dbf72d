package broker

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestASecondOpenIsRefused(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	r := b.publish(Message{Data: text("x")})
	b.upTo(r.Seq)
	b.stop()
	open(t, c)
}

func TestAClusterByURLSaysThatItIsNotBuilt(t *testing.T) {
	c := testConfig(t.TempDir())
	c.URL = "nats://user:secret@somewhere"
	_, err := Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "not built yet") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestEveryProblemOfTheConfigIsReportedAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Config{URL: "x", MaxAge: 1, MaxBytes: -1})
	for _, want := range []string{"not built yet", "data folder", "under a minute", "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func TestAStoreThatIsTooSmallSaysTheMinimum(t *testing.T) {
	c := testConfig(t.TempDir())
	c.leaseGap = 0
	c.MaxBytes = 16 * mib
	_, err := Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "minimum of 71 MiB") {
		t.Errorf("got %v", err)
	}
	c.MaxBytes = 71 * mib
	open(t, c)
}

func TestHalfOfTheFreeDiskIsTheDefaultBound(t *testing.T) {
	c := testConfig(t.TempDir())
	c.MaxBytes = 0
	b := open(t, c)
	free, err := freeDisk(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.budget.total; got < free/3 || got > free {
		t.Errorf("got %d bytes of %d free", got, free)
	}
}

func TestTheInstallationIsMadeOnce(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	id := b.Installation()
	if len(id) != 8 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("got %q", id)
	}
	b.crash()
	c.bootID = "two"
	if b = open(t, c); b.Installation() != id {
		t.Errorf("got %q, was %q", b.Installation(), id)
	}
}

func TestAFailedOpenLeavesNothingRunning(t *testing.T) {
	c := testConfig(t.TempDir())
	if err := os.MkdirAll(filepath.Join(c.Dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "log", "jetstream"), []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Fatalf("got %v", err)
	}
	if err := os.Remove(filepath.Join(c.Dir, "log", "jetstream")); err != nil {
		t.Fatal(err)
	}
	open(t, c)
}

func TestTheServersOwnLogGoesToTheLogger(t *testing.T) {
	c := testConfig(t.TempDir())
	var lines strings.Builder
	c.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lines.String(), "nats-server") {
		t.Error("nothing of the server's log was found")
	}
}

func TestMetricsAreRegisteredAndTakenBack(t *testing.T) {
	c := testConfig(t.TempDir())
	reg := prometheus.NewRegistry()
	c.Registerer = reg
	b := open(t, c)
	b.publish(Message{Data: text("x")})
	got, err := reg.Gather()
	if err != nil || len(got) == 0 {
		t.Fatalf("got %d families, %v", len(got), err)
	}
	for _, f := range got {
		if !strings.HasPrefix(f.GetName(), "fleetline_broker_") {
			t.Errorf("a metric is called %s", f.GetName())
		}
		if f.GetName() == "fleetline_broker_published_total" && f.Metric[0].Counter.GetValue() != 1 {
			t.Errorf("published: got %v", f.Metric[0].Counter.GetValue())
		}
	}
	b.stop()
	if got, _ := reg.Gather(); len(got) != 0 {
		t.Errorf("%d families are left after Close", len(got))
	}
}
