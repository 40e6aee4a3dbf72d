package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// greetings are for new sessions, with their peers.
func (w *world) greetings(n int, after uint64) (all []Greeting, peers []*socket.MemoryPeer) {
	for i := range n {
		s, peer := w.enter(Identity{Machine: fmt.Sprint(i), Account: "a"})
		all = append(all, Greeting{Session: s, Hello: hello, After: after})
		peers = append(peers, peer)
	}
	return all, peers
}

func TestSessionsThatStartTogetherAreGreetedFirstAndMissNothing(t *testing.T) {
	const sessions, messages = 2*salvoShots + 9, 60
	w := newWorld(t, Config{})
	defer w.close()
	for range messages / 3 {
		w.post(Target{})
	}
	all, peers := w.greetings(sessions, 1)
	var work sync.WaitGroup
	work.Go(func() {
		for range messages - messages/3 {
			w.post(Target{})
		}
	})
	work.Go(func() { w.hub.StartAll(all) })
	work.Wait()
	w.settle()
	for i, peer := range peers {
		if p, _ := peer.Next(); string(p) != string(hello.Payload()) {
			t.Fatalf("the first frame of session %d is %s", i, p)
		}
		got := seqs(t, peer)
		for n, seq := range got {
			if seq != uint64(n)+2 {
				t.Fatalf("session %d, which starts after 1, was handed %v", i, got)
			}
		}
		if len(got) != messages-1 {
			t.Errorf("session %d was handed %d messages of %d", i, len(got), messages-1)
		}
	}
}

func TestWhoWasCutOrHasLeftIsNotGreetedWithTheOthers(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	all, peers := w.greetings(5, 0)
	all[1].Session.Cut()
	all[2].Session.End(nil, Ending{Code: 4500})
	w.hub.Leave(all[3].Session)
	again := append(slices.Clone(all), all[0])
	w.hub.StartAll(again)
	w.publish(Target{})
	var greeted, delivered []int
	for i, peer := range peers {
		for p, ok := peer.Next(); ok; p, ok = peer.Next() {
			if string(p) == string(hello.Payload()) {
				greeted = append(greeted, i)
			} else {
				delivered = append(delivered, i)
			}
		}
	}
	if want := []int{0, 4}; !slices.Equal(greeted, want) || !slices.Equal(delivered, want) {
		t.Errorf("greeted were %v and handed a message %v, want %v", greeted, delivered, want)
	}
}

func TestNothingComesAfterACutThatMeetsTheGreetings(t *testing.T) {
	for range 100 {
		w := newWorld(t, Config{})
		w.post(Target{})
		w.settle()
		all, peers := w.greetings(10, 0)
		var before, after int
		var work sync.WaitGroup
		work.Go(func() { w.hub.StartAll(all) })
		work.Go(func() {
			all[5].Session.Cut()
			before = frames(peers[5])
		})
		work.Wait()
		w.publish(Target{})
		if after = frames(peers[5]); after > 0 {
			t.Errorf("%d frames came after the cut, before which %d had come", after, before)
		}
		w.close()
	}
}

// frames reads all that waits for the peer, and returns how much that was.
func frames(peer *socket.MemoryPeer) (n int) {
	for _, ok := peer.Next(); ok; _, ok = peer.Next() {
		n++
	}
	return n
}

func TestWhoStartsTogetherIsDueForPingsAndTokens(t *testing.T) {
	w := newWorld(t, Config{Heartbeat: time.Second, Refresh: func(Session) (socket.Prepared, time.Time) {
		return frameOf(1), time.Now().Add(time.Hour)
	}})
	defer w.close()
	all, _ := w.greetings(3, 0)
	due := time.Now().Add(300 * time.Millisecond)
	for i := range all {
		all[i].Refresh = due
	}
	w.hub.StartAll(all)
	for _, g := range all {
		l, _ := g.Session.lock()
		if l.rec.pingAt == never || l.rec.freshAt != w.hub.wheel.at(due) {
			t.Errorf("the ping is due at tick %d, the token at %d", l.rec.pingAt, l.rec.freshAt)
		}
		l.unlock()
	}
}
