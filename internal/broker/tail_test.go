package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestTheTailKeepsOrderOverADeletedConsumer(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	stream, err := b.engine.js.Stream(t.Context(), b.lives.current.Load().stream())
	if err != nil {
		t.Fatal(err)
	}
	const messages = 3000
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := range messages {
			if _, err := b.Publish(t.Context(), Message{Data: text(fmt.Sprint(i))}); err != nil {
				t.Error(err)
			}
		}
	})
	eventually(t, "the tail to have started again five times", func() bool {
		for name := range stream.ConsumerNames(t.Context()).Name() {
			_ = stream.DeleteConsumer(t.Context(), name)
		}
		return b.counts.tailRestarts.Load() >= 5
	})
	publishing.Wait()
	b.until("every message", func(e []*Entry) bool { return len(e) >= messages })
	for i, e := range b.entries {
		if e.Kind != Data || string(e.Data()) != string(text(fmt.Sprint(i))) {
			t.Fatalf("%d: heard %s at %d, kind %d", i, e.Data(), e.Seq, e.Kind)
		}
	}
}

func TestTheTailHearsItsOwnLease(t *testing.T) {
	c := testConfig(t.TempDir())
	c.Sessions = func() int { return 7 }
	leases := make(chan Lease, 100)
	b, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Heard().IsZero() {
		t.Error("heard before there was a tail")
	}
	var tail sync.WaitGroup
	tail.Go(func() {
		_ = b.Tail(context.Background(), func(e *Entry) {
			if e.Kind == Beat {
				select {
				case leases <- *e.Lease:
				default:
				}
			}
		})
	})
	if l := <-leases; l.Node != c.Node || l.Sessions != 7 || l.Started.IsZero() {
		t.Errorf("got %+v", l)
	}
	first := b.Heard()
	if time.Since(first) > time.Minute {
		t.Errorf("heard at %v", first)
	}
	eventually(t, "the next lease", func() bool { return b.Heard().After(first) })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	tail.Wait()
}

func TestARestartServesTheRecentPastFromMemory(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	var first, last Receipt
	for i := range 500 {
		last = b.publish(Message{Target: Target{Machine: "m"}, Data: text(fmt.Sprint(i))})
		if i == 0 {
			first = last
		}
	}
	b.stop()
	b = open(t, c)
	eventually(t, "the window to be filled", func() bool {
		got, reached, ok := b.Recent(Target{Machine: "m"}, first.Seq-1, 1<<20, nil)
		return ok && len(got) == 500 && reached >= last.Seq
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) != 0 {
		t.Errorf("%d entries of the past were handed on", len(b.entries))
	}
}

func TestAWindowNeverAnswersWhileItIsFilled(t *testing.T) {
	w := newWindow(1 << 20)
	w.reset(0, 10)
	w.append(newData(record{seq: 1, data: text("x")}, Target{}))
	if _, _, ok := w.recent(Target{}, 0, 1<<20, nil); ok {
		t.Error("it answered at 1 of 10")
	}
	if _, reached, ok := w.recent(Target{}, 10, 1<<20, nil); !ok || reached != 10 {
		t.Errorf("whoever has everything: got %d, %t", reached, ok)
	}
	w.advance(11)
	if got, reached, ok := w.recent(Target{}, 0, 1<<20, nil); !ok || reached != 11 || len(got) != 1 {
		t.Errorf("filled: got %d entries up to %d, %t", len(got), reached, ok)
	}
}

func TestWhatTheLogTrimsBeforeItsTailHearsItIsABreak(t *testing.T) {
	c := testConfig(t.TempDir())
	b, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{Broker: b, t: t, changed: make(chan struct{})}
	var lost Receipt
	for range 100 {
		lost = h.publish(Message{Data: text("lost")})
	}
	stream, err := b.engine.js.Stream(t.Context(), b.lives.current.Load().stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	var tail sync.WaitGroup
	tail.Go(func() { _ = b.Tail(context.Background(), h.hear) })
	kept := h.publish(Message{Data: text("kept")})
	h.until("the message after the hole", func(e []*Entry) bool { return len(e) > 0 && e[len(e)-1].Seq == kept.Seq })
	if !slices.ContainsFunc(h.entries, func(e *Entry) bool { return e.Kind == Break && e.Seq >= lost.Seq }) {
		t.Error("no break was told")
	}
	if _, _, ok := b.Recent(Target{}, lost.Seq-1, 1, nil); ok {
		t.Error("the window claims to have what nobody heard")
	}
	if got := b.Read(t.Context(), []Request{{After: lost.Seq - 1, MaxBytes: 1}})[0]; got.Gap < lost.Seq || got.Err != nil {
		t.Errorf("Read: got gap %d, %v", got.Gap, got.Err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	tail.Wait()
}
