package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTheSameIDAgainReturnsTheFirstPosition(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	m := Message{Target: Target{Machine: "mch_a"}, Data: text("x"), ID: "id: 1\r\n%"}
	first := b.publish(m)
	again := b.publish(m)
	if first.Duplicate || !again.Duplicate || again.Seq != first.Seq || again.ID != m.ID {
		t.Errorf("got %+v, then %+v", first, again)
	}
}

func TestTwoTargetsWithTheSameIDAreTwoMessages(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	seen := make(map[uint64]bool)
	for _, to := range []Target{{Machine: "x"}, {Machine: "y"}, {Account: "x"}, {}} {
		r := b.publish(Message{Target: to, Data: text("x"), ID: "same"})
		if r.Duplicate || seen[r.Seq] {
			t.Errorf("to %+v: got %+v", to, r)
		}
		seen[r.Seq] = true
	}
}

func TestAnIDIsRememberedOverARestart(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	m := Message{Target: Target{Account: "acc"}, Data: text("x"), ID: "one"}
	first := b.publish(m)
	b.stop()
	b = open(t, c)
	if again := b.publish(m); !again.Duplicate || again.Seq != first.Seq {
		t.Errorf("got %+v, first was %+v", again, first)
	}
}

func TestAMessageWithoutAnIDIsGivenOneInItsReceipt(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	one, two := b.publish(Message{Data: text("x")}), b.publish(Message{Data: text("x")})
	if one.ID == "" || one.ID == two.ID || one.Seq == two.Seq {
		t.Errorf("got %+v and %+v", one, two)
	}
	b.upTo(two.Seq)
	if got, _, _ := b.Recent(Target{}, one.Seq-1, 1<<20, nil); got[0].ID != "" {
		t.Errorf("the made id %q is shown to machines", got[0].ID)
	}
}

func TestAMessageIsGoneAfterItsTTL(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	kept := b.publish(Message{Data: text("kept")})
	r := b.publish(Message{Data: text("short"), TTL: 200 * time.Millisecond})
	last := b.publish(Message{Data: text("last")})
	b.upTo(last.Seq)
	if got := b.textsAfter(Target{}, kept.Seq-1); !slices.Equal(got, []string{`"kept"`, `"short"`, `"last"`}) {
		t.Fatalf("before: got %v", got)
	}
	want := []string{`"kept"`, `"last"`}
	eventually(t, "the window to leave it out", func() bool { return slices.Equal(b.textsAfter(Target{}, kept.Seq-1), want) })
	eventually(t, "the log to leave it out", func() bool {
		got := b.Read(t.Context(), []Request{{After: kept.Seq - 1, MaxBytes: 1 << 20}})[0]
		return got.Err == nil && got.Gap == 0 && got.Reached >= r.Seq && slices.Equal(datas(got.Entries), want)
	})
}

func TestConcurrentPublishersAreHeardInTheOrderOfTheLog(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	const publishers, each = 8, 200
	receipts := make([][]Receipt, publishers)
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			var sent []*Pending
			for i := range each {
				m, err := b.PublishAsync(t.Context(), Message{Target: Target{Machine: fmt.Sprint(p)}, Data: text(fmt.Sprintf("%d/%d", p, i))})
				if err != nil {
					t.Error(err)
					return
				}
				sent = append(sent, m)
			}
			for _, s := range sent {
				r, err := s.Wait(t.Context())
				if err != nil {
					t.Error(err)
				}
				receipts[p] = append(receipts[p], r)
			}
		})
	}
	all.Wait()
	want := make(map[uint64]string)
	for p, rs := range receipts {
		for i, r := range rs {
			want[r.Seq] = string(text(fmt.Sprintf("%d/%d", p, i)))
			if i > 0 && rs[i-1].Seq >= r.Seq {
				t.Fatalf("publisher %d: %d came after %d", p, r.Seq, rs[i-1].Seq)
			}
		}
	}
	b.until("every message", func(e []*Entry) bool { return len(e) >= publishers*each })
	for i, e := range b.entries {
		if i > 0 && b.entries[i-1].Seq >= e.Seq {
			t.Fatalf("heard %d after %d", e.Seq, b.entries[i-1].Seq)
		}
		if got := string(e.Data()); got != want[e.Seq] {
			t.Fatalf("at %d: got %s, want %s", e.Seq, got, want[e.Seq])
		}
	}
}

func TestALiveMessageIsHeardAndNotStored(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	before := b.publish(Message{Data: text("stored")})
	b.upTo(before.Seq)
	live := func() bool {
		r, err := b.PublishLive(t.Context(), Message{Target: Target{Machine: "m"}, Data: text("live"), ID: "l"})
		if err != nil || r.Seq != 0 || r.ID != "l" {
			t.Fatalf("PublishLive: %+v, %v", r, err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.entries, func(e *Entry) bool {
			return e.Seq == 0 && e.Position() == 0 && e.ID == "l" && e.Target == Target{Machine: "m"} && string(e.Data()) == `"live"`
		})
	}
	eventually(t, "the live message", live)
	if got := b.textsAfter(Target{Machine: "m"}, before.Seq); len(got) != 0 {
		t.Errorf("the window holds %v", got)
	}
	if got := b.Read(t.Context(), []Request{{Target{Machine: "m"}, before.Seq, 1 << 20}})[0]; got.Err != nil || len(got.Entries) != 0 {
		t.Errorf("the log holds %d entries, %v", len(got.Entries), got.Err)
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	c := testConfig(t.TempDir())
	c.MaxData = 100
	b := open(t, c)
	long := strings.Repeat("x", maxID+1)
	for name, m := range map[string]Message{
		"data":    {Data: text(strings.Repeat("x", 99))},
		"id":      {Data: text("x"), ID: long},
		"machine": {Data: text("x"), Target: Target{Machine: long}},
		"account": {Data: text("x"), Target: Target{Account: long}},
	} {
		if _, err := b.Publish(t.Context(), m); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := b.Publish(t.Context(), Message{Data: text("x"), Target: Target{"m", "a"}}); !errors.Is(err, ErrTarget) {
		t.Errorf("two targets: got %v, want ErrTarget", err)
	}
	b.publish(Message{Data: text("x"), ID: strings.Repeat("%", maxID), Target: Target{Machine: strings.Repeat("é", maxID/2)}})
}

func TestTheLargestMessageFitsTheFrameAndIsReadBack(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	m := Message{Data: text(strings.Repeat("x", defaultMaxData-2)), ID: strings.Repeat("\x01", maxID)}
	r := b.publish(m)
	b.upTo(r.Seq)
	got := b.Read(t.Context(), []Request{{After: r.Seq - 1, MaxBytes: 1}})[0]
	if got.Err != nil || len(got.Entries) != 1 {
		t.Fatalf("got %d entries, %v", len(got.Entries), got.Err)
	}
	if n := len(got.Entries[0].Frame(false).Payload()); n > 1<<20 {
		t.Errorf("the frame has %d bytes", n)
	}
	if got.Entries[0].ID != m.ID {
		t.Errorf("the id came back as %q", got.Entries[0].ID)
	}
}

func TestAPublishWithoutAnAnswerIsUnavailable(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Publish(ctx, Message{Data: text("x")}); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: got %v", err)
	}
	if err := b.engine.js.DeleteStream(t.Context(), b.lives.current.Load().stream()); err != nil {
		t.Fatal(err)
	}
	// The tail begins a new life; until then there is nobody to answer.
	if _, err := b.Publish(t.Context(), Message{Data: text("x")}); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a stream: got %v", err)
	}
	b.until("a break", hasBreak)
}

func TestAClosedBrokerRefusesWhatComesLate(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	b.stop()
	if _, err := b.Publish(t.Context(), Message{Data: text("x")}); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish: got %v", err)
	}
	if _, err := b.PublishLive(t.Context(), Message{Data: text("x")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("PublishLive: got %v", err)
	}
	if err := b.Revoke(t.Context(), Revocation{Kind: RevokedKey, ID: "x"}); err == nil {
		t.Error("Revoke: got no error")
	}
	if got := b.Read(t.Context(), []Request{{After: 0}})[0]; !errors.Is(got.Err, ErrUnavailable) {
		t.Errorf("Read: got %v", got.Err)
	}
	if err := b.Tail(t.Context(), func(*Entry) {}); err == nil {
		t.Error("Tail: got no error")
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
