package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

func frameOf(n uint64) socket.Prepared {
	return socket.Prepare(wire.AppendData(nil, n, "", fmt.Append(nil, n)))
}

func TestSalvosInAnyOrderWaitForNobodyAndReachEachSessionOnce(t *testing.T) {
	const sessions, gunners, rounds = 3*salvoShots + 7, 4, 20
	w := newWorld(t, Config{})
	defer w.close()
	var all []Session
	var peers []*socket.MemoryPeer
	for i := range sessions {
		s, peer := w.connect(Identity{Machine: fmt.Sprint(i), Account: "a"}, 0)
		all, peers = append(all, s), append(peers, peer)
	}
	var work sync.WaitGroup
	for g := range gunners {
		work.Go(func() {
			for round := range rounds {
				v := newSalvo(w.hub, nil)
				for _, i := range rand.Perm(sessions) {
					if l, ok := v.lock(all[i]); ok {
						v.load(l, socket.NewBurst(frameOf(uint64(1+g*rounds+round))))
					}
				}
				v.fire()
			}
		})
	}
	work.Wait()
	for i, peer := range peers {
		got := seqs(t, peer)
		slices.Sort(got)
		if n := len(slices.Compact(got)); len(got) != gunners*rounds || n != len(got) {
			t.Errorf("session %d was handed %d frames, %d of them different, want %d", i, len(got), n, gunners*rounds)
		}
	}
}

func TestASalvoMeetsTheSameSessionTwice(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	s, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
	v := newSalvo(w.hub, nil)
	for n := range uint64(3) {
		if l, ok := v.lock(s); ok {
			v.load(l, socket.NewBurst(frameOf(n+1)))
		}
	}
	v.fire()
	if got := seqs(t, peer); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v, want all in order", got)
	}
}

func TestNothingOfASalvoComesAfterACut(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	for i := range 200 {
		s, peer := w.connect(Identity{Machine: fmt.Sprint(i), Account: "a"}, 0)
		b := newBundle([]Message{newMessage(w.next+1, Target{}), newMessage(w.next+2, Target{})})
		v := newSalvo(w.hub, func(l locked, taken int) { l.delivered(b, taken) })
		var atCut []uint64
		var work sync.WaitGroup
		work.Go(func() {
			s.Cut()
			atCut = seqs(t, peer)
		})
		work.Go(func() {
			if l, ok := v.lock(s); ok {
				l.deliverIn(v, b)
			}
			v.fire()
		})
		work.Wait()
		if late := seqs(t, peer); len(late) > 0 {
			t.Fatalf("%v came after the cut, before which %v had come", late, atCut)
		}
	}
}

func TestASalvoThatASocketDoesNotTakeLeavesTheSessionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		s, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		peer.SetRoom(socket.Room{})
		w.publish(Target{})
		if st, _ := s.State(); !st.Behind || st.Position != 0 {
			t.Errorf("the session is at %d, behind: %v", st.Position, st.Behind)
		}
		peer.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 100})
		synctest.Wait()
		if got := seqs(t, peer); !slices.Equal(got, []uint64{1}) {
			t.Errorf("got %v, want the message once", got)
		}
	})
}
