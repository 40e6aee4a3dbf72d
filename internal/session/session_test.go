package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

func TestMessagesReachTheirTargetsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, a1 := w.connect(Identity{Machine: "a1", Account: "a"}, 0)
		_, a2 := w.connect(Identity{Machine: "a2", Account: "a", Bare: true}, 0)
		_, b1 := w.connect(Identity{Machine: "b1", Account: "b"}, 0)
		w.publish(Target{})
		w.publish(Target{Machine: "a2"})
		w.publish(Target{Account: "a"})
		w.publish(Target{Machine: "b1"})
		w.publish(Target{Machine: "nobody"})
		for _, c := range []struct {
			peer *socket.MemoryPeer
			want []uint64
		}{{a1, []uint64{1, 3}}, {a2, []uint64{1, 2, 3}}, {b1, []uint64{1, 4}}} {
			if got := seqs(t, c.peer); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		}
	})
}

func TestAStoppedMachineIsBroughtToTheHeadWithoutLossOrRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, slow := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		slow.SetRoom(socket.Room{Bytes: 100, Frames: 2})
		var want, got []uint64
		for range 50 {
			want = append(want, w.publish(Target{Machine: "m"}))
			w.publish(Target{Machine: "other"})
		}
		if n := slow.Waiting(); n > 2 {
			t.Fatalf("%d frames wait for a machine that takes 2", n)
		}
		for len(got) < len(want) {
			more := seqs(t, slow)
			if synctest.Wait(); len(more) == 0 && slow.Waiting() == 0 {
				break
			}
			got = append(got, more...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		slow.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 100})
		synctest.Wait()
		if seq := w.publish(Target{}); !slices.Equal(seqs(t, slow), []uint64{seq}) {
			t.Fatal("the machine is not live after it has caught up")
		}
	})
}

func TestASessionThatStartsInThePastIsServedFromTheLogAndThenLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		for range 10 {
			w.publish(Target{})
		}
		w.log.floor = 8
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 3)
		synctest.Wait()
		w.publish(Target{})
		if got, want := seqs(t, peer), []uint64{4, 5, 6, 7, 8, 9, 10, 11}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if w.log.reads != 1 {
			t.Errorf("the log was read %d times, want once", w.log.reads)
		}
	})
}

func TestAGapIsToldWhereHistoryIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		for range 10 {
			w.publish(Target{})
		}
		w.log.floor, w.log.gone = 8, 6
		w.log.messages = w.log.messages[6:]
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 3)
		_, bare := w.connect(Identity{Machine: "n", Account: "a", Bare: true}, 3)
		synctest.Wait()
		if p, _ := peer.Next(); string(p) != `{"type":"gap","seq":6}` {
			t.Errorf("got %s, want the gap", p)
		}
		want := []uint64{7, 8, 9, 10}
		if got := seqs(t, peer); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got := seqs(t, bare); !slices.Equal(got, want) {
			t.Errorf("without a version: got %v, want %v", got, want)
		}
	})
}

func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		w.publish(Target{})
		w.log.floor, w.log.fail = 1, true
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		time.Sleep(readPause + time.Millisecond)
		w.log.mu.Lock()
		w.log.fail = false
		w.log.mu.Unlock()
		time.Sleep(readPause)
		if got := seqs(t, peer); !slices.Equal(got, []uint64{1}) {
			t.Fatalf("got %v, want [1]", got)
		}
	})
}

func TestALiveOnlyMessageIsDroppedWhereItCannotBeTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, ready := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		_, stopped := w.connect(Identity{Machine: "n", Account: "a"}, 0)
		stopped.SetRoom(socket.Room{})
		w.publishLive(Target{})
		stopped.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 10})
		synctest.Wait()
		if n := len(seqs(t, ready)); n != 1 {
			t.Errorf("the ready machine got %d live messages, want 1", n)
		}
		if n := len(seqs(t, stopped)); n != 0 {
			t.Errorf("the stopped machine got %d live messages, want none", n)
		}
		if got := w.hub.dropped.Load(); got != 1 {
			t.Errorf("%d drops counted, want 1", got)
		}
	})
}

func TestNothingFollowsACutButTheGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		s, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		s.Cut()
		w.publish(Target{})
		w.publishLive(Target{})
		s.Send(socket.Prepare([]byte(`{"type":"error"}`)))
		time.Sleep(wire.Heartbeat + tickLength) // no ping either
		goodbye := socket.Prepare([]byte(`{"type":"machine_deleted"}`))
		if !s.End(goodbye, Ending{wire.CloseMachineDeleted, "machine_deleted"}) {
			t.Fatal("the end was not taken")
		}
		if s.End(nil, Ending{wire.CloseSilent, "silent"}) {
			t.Error("a second end was taken")
		}
		if p, ok := peer.Next(); string(p) != string(goodbye.Payload()) {
			t.Errorf("got %s (%v), want the goodbye", p, ok)
		}
		if p, ok := peer.Next(); ok {
			t.Errorf("got %s after the goodbye", p)
		}
		if how, _ := peer.Closure(); how.Code != 4500 || how.Reason != "machine_deleted" {
			t.Errorf("closed with %d %q", how.Code, how.Reason)
		}
	})
}

func TestTheHubForgetsWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		var peers []*socket.MemoryPeer
		for i := range 9 {
			_, p := w.connect(Identity{Machine: fmt.Sprint("m", i%3), Account: fmt.Sprint("a", i%2)}, 0)
			peers = append(peers, p)
		}
		for _, p := range peers[2:] {
			p.Drop()
		}
		synctest.Wait()
		if err := w.hub.Check(); err != nil || w.hub.Len() != 2 {
			t.Fatalf("%d sessions left, want 2: %v", w.hub.Len(), err)
		}
		if n := len(w.hub.All()); n != 2 || w.hub.Count("m2") != 0 || len(w.hub.OfAccount("a0")) != 1 {
			t.Error("a session that has left is still found")
		}
	})
}

func TestAMachineHasAtMostItsLimitOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		for i := range 3 {
			p := w.engine.Dial(socket.Peer{})
			_, err := w.hub.Enter(p.ID(), Identity{Machine: "m", Account: "a"}, 2)
			if (err != nil) != (i == 2) {
				t.Errorf("session %d: %v", i+1, err)
			}
		}
		if err := w.hub.Check(); err != nil {
			t.Error(err)
		}
	})
}

// A message that is published while a session enters is found by the tail or read by the session;
// many at once, under the race detector.
func TestSessionsThatEnterUnderLoadMissNothing(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	stop := make(chan struct{})
	var tail sync.WaitGroup
	tail.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for range 8 {
					w.post(Target{})
				}
				w.settle()
			}
		}
	})
	var fleet sync.WaitGroup
	for i := range 20 {
		fleet.Go(func() {
			s, peer := w.enter(Identity{Machine: fmt.Sprint(i), Account: "a"})
			after := w.hub.Begun()
			s.Start(hello, after, time.Time{})
			for want := after + 1; want < after+200; {
				p, err := peer.Read(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if !strings.Contains(string(p), `"data"`) {
					continue // hello, or a first ping, whose moment is random
				}
				if !strings.HasPrefix(string(p), fmt.Sprintf(`{"type":"data","seq":%d,`, want)) {
					t.Errorf("got %s, want position %d", p, want)
					return
				}
				want++
			}
			peer.Drop()
		})
	}
	fleet.Wait()
	close(stop)
	tail.Wait()
}
