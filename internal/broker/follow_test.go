package broker

import (
	"slices"
	"testing"
	"time"
)

func TestWhoeverLooksOnSeesWhatIsForItsTargetsAndHoldsUpNobody(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	f := b.Follow(Target{}, Target{Machine: "m1"})
	publish := func(to Target, data string) {
		t.Helper()
		if _, err := b.Publish(t.Context(), Message{Target: to, Data: text(data)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(Target{Machine: "m2"}, "not mine")
	publish(Target{Machine: "m1"}, "mine")
	if _, err := b.PublishLive(t.Context(), Message{Target: Target{Machine: "m1"}, Data: text("live")}); err != nil {
		t.Fatal(err)
	}
	publish(Target{}, "all")
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
		publish(Target{Machine: "m1"}, "more")
	}
	b.until("every message", func(e []*Entry) bool { return len(e) >= followerRoom+14 })
	eventually(t, "what found no room to be counted", func() bool { return f.lost.Load() == 10 })
	f.Close()
	f.Close()
	publish(Target{Machine: "m1"}, "late")
	if n := f.all.count.Load(); n != 0 || f.Lost() != 10 || f.Lost() != 0 {
		t.Errorf("%d look on after the last has left", n)
	}
}
