package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, publishUntilKilled(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// testConfig is a small store with a quick pulse.
func testConfig(dir string) Config {
	return Config{Dir: dir, Node: "node-a", MaxBytes: 256 * mib, leaseGap: 100 * time.Millisecond, Logger: testLogger()}
}

func testLogger() *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return slog.New(slog.DiscardHandler)
}

// heard is a broker with a running tail.
type heard struct {
	*Broker
	t    testing.TB
	stop func()

	mu      sync.Mutex
	entries []*Entry // without beats
	changed chan struct{}
}

func open(t testing.TB, c Config) *heard {
	t.Helper()
	b, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	h := &heard{Broker: b, t: t, changed: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Tail(context.Background(), h.hear) }()
	h.stop = sync.OnceFunc(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-done
	})
	t.Cleanup(h.stop)
	return h
}

func (h *heard) hear(e *Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Kind != Beat {
		h.entries = append(h.entries, e)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// until waits for something that becomes true when an entry is heard.
func (h *heard) until(what string, is func(entries []*Entry) bool) {
	h.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		ok, changed := is(h.entries), h.changed
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			h.t.Fatalf("waited 20 s for: %s", what)
		}
	}
}

// upTo waits until the tail has heard a position.
func (h *heard) upTo(seq uint64) {
	h.t.Helper()
	h.until(fmt.Sprintf("position %d", seq), func([]*Entry) bool { _, head := h.window.span(); return head >= seq })
}

func (h *heard) publish(m Message) Receipt {
	h.t.Helper()
	r, err := h.Publish(h.t.Context(), m)
	if err != nil {
		h.t.Fatalf("Publish: %v", err)
	}
	return r
}

func text(s string) json.RawMessage {
	b, _ := json.Marshal(s)
	return b
}

func datas(entries []*Entry) []string {
	s := []string{}
	for _, e := range entries {
		if e.Kind == Data {
			s = append(s, string(e.Data()))
		}
	}
	return s
}

func TestAPublishedMessageIsHeardAndFoundInTheWindow(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	r := b.publish(Message{Target: Target{Machine: "mch_a"}, Data: text("hello"), ID: "one"})
	b.upTo(r.Seq)
	got, reached, ok := b.Recent(Target{"mch_a", "acc"}, r.Seq-1, 1<<20, nil)
	if !ok || reached < r.Seq || len(got) != 1 {
		t.Fatalf("Recent: got %d entries up to %d, %t", len(got), reached, ok)
	}
	want := fmt.Sprintf(`{"type":"data","seq":%d,"id":"one","data":"hello"}`, r.Seq)
	if got := string(got[0].Frame(false).Payload()); got != want {
		t.Errorf("frame: got %s, want %s", got, want)
	}
	if got, want := string(got[0].Frame(true).Payload()), `{"type":"data","data":"hello"}`; got != want {
		t.Errorf("bare frame: got %s, want %s", got, want)
	}
}

// end is the log's last position.
func (h *heard) end() uint64 { return h.lives.end() }

// textsAfter is what the window holds for a session.
func (h *heard) textsAfter(t Target, after uint64) []string {
	got, _, _ := h.Recent(t, after, 1<<30, nil)
	return datas(got)
}

// eventually asks until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("waited 20 s for: %s", what)
		}
	}
}
