package broker

import (
	"slices"
	"testing"
	"time"
)

func TestWhoeverLooksOnSeesWhatIsForItsTargetsAndHoldsUpNobody(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	live := func(machine string) {
		t.Helper()
		if _, err := b.PublishLive(t.Context(), Message{Target: Target{Machine: machine}, Data: text("live")}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "live-only messages to be heard", func() bool {
		live("m0")
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.entries, func(e *Entry) bool { return e.Seq == 0 })
	})
	f := b.Follow(Target{}, Target{Machine: "m1"})
	b.publish(Message{Target: Target{Machine: "m2"}, Data: text("not mine")})
	b.publish(Message{Target: Target{Machine: "m1"}, Data: text("mine")})
	live("m1")
	b.publish(Message{Data: text("all")})
	var seen []string
	for range 3 {
		select {
		case e := <-f.Entries():
			seen = append(seen, string(e.Data()))
		case <-time.After(20 * time.Second):
			t.Fatalf("saw only %q", seen)
		}
	}
	slices.Sort(seen) // live-only messages have no place among the stored ones
	if want := []string{string(text("all")), string(text("live")), string(text("mine"))}; !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}

	for range followerRoom + 10 {
		b.publish(Message{Target: Target{Machine: "m1"}, Data: text("more")})
	}
	eventually(t, "what found no room to be counted", func() bool { return f.lost.Load() == 10 })
	f.Close()
	f.Close()
	b.upTo(b.publish(Message{Target: Target{Machine: "m1"}, Data: text("late")}).Seq)
	if n := f.all.count.Load(); n != 0 || f.Lost() != 10 || f.Lost() != 0 {
		t.Errorf("%d look on after the last has left", n)
	}
}
