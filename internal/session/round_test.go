package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// gated is an engine that notes for whom each write is, and lets writes pass when its gate is open.
type gated struct {
	socket.Engine
	gate chan struct{}

	mu     sync.Mutex
	writes []socket.ID
}

func (e *gated) SendMany(id socket.ID, p []socket.Prepared) int {
	<-e.gate
	e.mu.Lock()
	e.writes = append(e.writes, id)
	e.mu.Unlock()
	return e.Engine.SendMany(id, p)
}

func (e *gated) SendAll(shots []socket.Shot) {
	<-e.gate
	e.mu.Lock()
	for _, s := range shots {
		e.writes = append(e.writes, s.ID)
	}
	e.mu.Unlock()
	socket.SendAll(e.Engine, shots)
}

func (e *gated) open() { close(e.gate) }

func (e *gated) writesTo(id socket.ID) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, to := range e.writes {
		if to == id {
			n++
		}
	}
	return n
}

// heldUp is a world whose first round, of one message to all, does not end before the gate opens.
func heldUp(w *world) *gated {
	e := &gated{Engine: w.engine, gate: make(chan struct{})}
	w.hub.engine = e
	w.post(Target{})
	synctest.Wait()
	return e
}

// postLive brings a live-only message that seqs shows as n.
func (w *world) postLive(to Target, n uint64) {
	w.hub.Deliver(to, &message{to: to, frame: socket.Prepare(wire.AppendData(nil, 0, "", fmt.Append(nil, n)))})
}

func TestABacklogReachesEachSessionInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		targets := []Target{{}, {Machine: "a1"}, {Account: "a"}, {}, {Machine: "b1"}, {Account: "b"}, {Machine: "a2"}}
		of := []Identity{{Machine: "a1", Account: "a"}, {Machine: "a2", Account: "a"}, {Machine: "b1", Account: "b"}, {Machine: "c1", Account: "c"}}
		var peers []*socket.MemoryPeer
		for _, who := range of {
			_, peer := w.connect(who, 0)
			peers = append(peers, peer)
		}
		engine := heldUp(w)
		want := make([][]uint64, len(of))
		expect := func(to Target, n uint64) {
			for i, who := range of {
				if (to.Machine == "" || to.Machine == who.Machine) && (to.Account == "" || to.Account == who.Account) {
					want[i] = append(want[i], n)
				}
			}
		}
		expect(Target{}, 1)
		for i := range uint64(200) {
			to := targets[i%7]
			if i%3 == 1 {
				w.postLive(to, 1000+i)
				expect(to, 1000+i)
				continue
			}
			expect(to, w.post(to))
		}
		if begun, finished := w.hub.begun.Load(), w.hub.finished.Load(); begun != 1 || finished != 0 {
			t.Errorf("in the first round begun is %d and finished %d, want 1 and 0", begun, finished)
		}
		engine.open()
		w.settle()
		for i, peer := range peers {
			if got := seqs(t, peer); !slices.Equal(got, want[i]) {
				t.Errorf("%s: got %v, want %v", of[i].Machine, got, want[i])
			}
			if n := engine.writesTo(peer.ID()); n != 2 {
				t.Errorf("%s was served with %d writes, want one for the first message and one for the backlog", of[i].Machine, n)
			}
		}
		if begun, finished := w.hub.begun.Load(), w.hub.finished.Load(); begun != w.next || finished != w.next {
			t.Errorf("at the end begun is %d and finished %d, want %d", begun, finished, w.next)
		}
	})
}

func TestAMessageForOneMachineGoesFirstInItsRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		for i := range 20 {
			w.connect(Identity{Machine: fmt.Sprint(i), Account: "a"}, 0)
		}
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		engine := heldUp(w)
		w.post(Target{})
		w.post(Target{Account: "a"})
		w.post(Target{Machine: "m"})
		engine.open()
		w.settle()
		if got := engine.writes[21]; got != peer.ID() {
			t.Errorf("the second round begins with connection %x, want %x", got, peer.ID())
		}
		if got := seqs(t, peer); !slices.Equal(got, []uint64{1, 2, 3, 4}) {
			t.Errorf("got %v, want all in order", got)
		}
	})
}

func TestAMessageForOneMachineIsHandedOverAtOnceWhenNothingWaits(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
	for range 100 {
		seq := w.post(Target{Machine: "m"})
		if got := seqs(t, peer); !slices.Equal(got, []uint64{seq}) {
			t.Fatalf("when Deliver has returned the machine has %v, want [%d]", got, seq)
		}
	}
}

// Whoever enters while messages wait has read none of them from the window when their round comes: a
// live-only message between them is then in its place.
func TestWhoEntersDuringARoundGetsWhatWaitsInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		w.connect(Identity{Machine: "m", Account: "a"}, 0)
		engine := heldUp(w)
		w.post(Target{})
		w.postLive(Target{}, 1000)
		w.post(Target{})
		s, peer := w.enter(Identity{Machine: "late", Account: "a"})
		go s.Start(hello, w.hub.Begun(), time.Time{}) // it ends when the gate opens, at the latest
		synctest.Wait()
		engine.open()
		w.settle()
		if got := seqs(t, peer); !slices.Equal(got, []uint64{2, 1000, 3}) {
			t.Errorf("got %v, want 2, the live-only 1000, and 3", got)
		}
	})
}

func TestWhatASocketDoesNotTakeOfABacklogIsReadLaterAndLiveOnlyOnesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, slow := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		slow.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 4})
		engine := heldUp(w)
		w.post(Target{})          // taken
		w.postLive(Target{}, 100) // taken
		w.post(Target{})          // taken
		w.postLive(Target{}, 200) // dropped
		w.post(Target{})
		w.post(Target{})
		w.postLive(Target{}, 300) // dropped
		engine.open()
		w.settle()
		var got []uint64
		for range 3 {
			got = append(got, seqs(t, slow)...)
			synctest.Wait()
		}
		if want := []uint64{1, 2, 100, 3, 4, 5}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if n := w.hub.dropped.Load(); n != 2 {
			t.Errorf("%d drops counted, want 2", n)
		}
	})
}

func TestTheTailWaitsWhenTheBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		w.connect(Identity{Machine: "m", Account: "a"}, 0)
		engine := heldUp(w)
		const most = 2 * backlogBytes / postOverhead
		brought := make(chan int, most)
		go func() { // it ends when all is posted
			defer close(brought)
			for i := range most {
				w.postLive(Target{}, uint64(i))
				brought <- i
			}
		}()
		synctest.Wait()
		if n := len(brought); n == most || n < backlogBytes/postOverhead/2 {
			t.Errorf("%d of %d messages are taken while a round does not end", n, most)
		}
		engine.open()
		synctest.Wait()
		if n := len(brought); n != most {
			t.Errorf("%d of %d messages are taken when the round has ended", n, most)
		}
		w.settle()
		if n := int(w.hub.delivered.Load() + w.hub.dropped.Load()); n != most+1 {
			t.Errorf("%d messages were delivered or dropped, want %d", n, most+1)
		}
	})
}

func TestAClosedHubTakesNothingAndHoldsNobodyUp(t *testing.T) {
	w := newWorld(t, Config{})
	_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
	w.hub.Close()
	w.post(Target{})
	w.post(Target{Machine: "m"})
	w.hub.Break(10, func(Session) {})
	if got := seqs(t, peer); len(got) > 0 {
		t.Errorf("a closed hub handed over %v", got)
	}
	w.close()
}

func TestABreakComesBehindWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		engine := heldUp(w)
		w.post(Target{})
		broken := make(chan struct{})
		go func() { // it ends when the round does
			defer close(broken)
			w.hub.Break(20, func(s Session) { s.End(nil, Ending{Code: wire.CloseRestart}) })
		}()
		synctest.Wait()
		if n := w.hub.Begun(); n != 1 {
			t.Errorf("the break has begun at %d, before the round ended", n)
		}
		engine.open()
		<-broken
		if got := seqs(t, peer); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("got %v, want what came before the break", got)
		}
		if n := w.hub.finished.Load(); n != 20 {
			t.Errorf("finished is %d, want 20", n)
		}
	})
}
