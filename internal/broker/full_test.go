package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// smallConfig is a store that is full in a moment.
func smallConfig(dir string) Config {
	c := testConfig(dir)
	c.MaxBytes, c.floor = 16*mib, 8*mib
	return c
}

// fill publishes large messages until the log is full and returns the receipts.
func (h *heard) fill() []Receipt { return h.fillWith(64 << 10) }

// fillWith publishes messages of one size until the log is full for them.
func (h *heard) fillWith(size int) []Receipt {
	h.t.Helper()
	var stored []Receipt
	data := text(strings.Repeat("x", size))
	for {
		r, err := h.Publish(h.t.Context(), Message{Target: Target{Machine: "m"}, Data: data})
		if errors.Is(err, ErrFull) {
			return stored
		} else if err != nil {
			h.t.Fatalf("Publish: %v", err)
		}
		stored = append(stored, r)
	}
}

func TestAFullLogRefusesMessagesAndGoesOnDeleting(t *testing.T) {
	b := open(t, smallConfig(t.TempDir()))
	stored := b.fill()
	b.fillWith(1) // no gap is left where a large message did not fit: what follows needs the reserve
	if h := b.Health(); !h.Full {
		t.Errorf("Health: got %+v", h)
	}
	if _, err := b.PublishLive(t.Context(), Message{Data: text("x")}); err != nil {
		t.Errorf("a live-only message: %v", err)
	}
	for i := range 200 {
		r := Revocation{Kind: RevokedMachine, ID: fmt.Sprintf("mch_%d", i), At: time.Now(), Until: time.Now().Add(time.Minute)}
		if err := b.Revoke(t.Context(), r); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
	}
	b.until("every revocation", func(entries []*Entry) bool {
		n := 0
		for _, e := range entries {
			if e.Kind == Revoked {
				n++
			}
		}
		return n == 200
	})
	since := time.Now()
	eventually(t, "the tail to hear its lease", func() bool { return b.Heard().After(since) })
	if got := b.Read(t.Context(), []Request{{Target{Machine: "m"}, stored[0].Seq - 1, 1}})[0]; got.Err != nil || got.Gap != 0 || len(got.Entries) != 1 {
		t.Errorf("what was stored first: got %d entries, gap %d, %v", len(got.Entries), got.Gap, got.Err)
	}
}

func TestAFullLogTakesMessagesAgainWhenSomeHaveAged(t *testing.T) {
	b := open(t, smallConfig(t.TempDir()))
	b.fill()
	stream, err := b.engine.js.Stream(t.Context(), b.lives.current.Load().stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room", func() bool {
		_, err := b.Publish(t.Context(), Message{Data: text("x")})
		return err == nil && !b.Health().Full
	})
}

func TestAFullLogStaysFullOverARestartAndANewLife(t *testing.T) {
	c := smallConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	b.fill()
	b.crash()
	b = open(t, c)
	// What is written while the store is measured is counted twice until the next time, so a few may
	// have been refused early.
	const early = 5
	if n := len(b.fill()); n > early {
		t.Errorf("after a restart %d more messages fitted", n)
	}
	b.crash()
	c.bootID = "two"
	b = open(t, c)
	if n := len(b.fill()); n > early {
		t.Errorf("in a new life %d more messages fitted", n)
	}
	if err := b.Revoke(t.Context(), Revocation{Kind: RevokedKey, ID: "k", Until: time.Now().Add(time.Minute)}); err != nil {
		t.Errorf("Revoke: %v", err)
	}
}

func TestASmallerBoundStopsNeitherLeasesNorDeletions(t *testing.T) {
	c := smallConfig(t.TempDir())
	b := open(t, c)
	first := b.fill()[0]
	b.stop()
	c.MaxBytes = 8 * mib
	b = open(t, c)
	if n := len(b.fill()); n != 0 {
		t.Errorf("%d messages fitted", n)
	}
	if err := b.Revoke(t.Context(), Revocation{Kind: RevokedKey, ID: "k", Until: time.Now().Add(time.Minute)}); err != nil {
		t.Errorf("Revoke: %v", err)
	}
	if b.First() > first.Seq {
		t.Errorf("the log was trimmed to %d, had %d", b.First(), first.Seq)
	}
	since := time.Now()
	eventually(t, "the tail to hear its lease", func() bool { return b.Heard().After(since) })
}

func TestBucketsHaveTheirRoomWhileTheLogIsFull(t *testing.T) {
	b := open(t, smallConfig(t.TempDir()))
	var buckets []jetstream.KeyValue
	for i := range directoryBuckets {
		kv, err := b.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: fmt.Sprint("b", i), MaxBytes: b.BucketBytes()})
		if err != nil {
			t.Fatalf("bucket %d: %v", i, err)
		}
		buckets = append(buckets, kv)
	}
	b.fill()
	value := make([]byte, b.BucketBytes()/10)
	for _, kv := range buckets {
		for i := range 9 {
			if _, err := kv.Put(t.Context(), fmt.Sprint("k", i), value); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
	}
	if _, err := b.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "toomany", MaxBytes: b.BucketBytes()}); err == nil {
		t.Error("a bucket beyond the store's bound was made")
	}
}
