package socket_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

func prepare(s string) socket.Prepared { return socket.Prepare([]byte(s)) }

func TestMessagesReachTheHandlerInOrder(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		_, far := b.open(t)
		for i := range 100 {
			if err := far.text(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			b.recorder.expect(t, fmt.Sprintf("text %q", fmt.Sprint(i)))
		}
		if err := far.binary("\x00"); err != nil {
			t.Fatal(err)
		}
		b.recorder.expect(t, "binary")
	})
}

func TestFramesReachThePeerInOrder(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		id, far := b.open(t)
		if !b.engine.Send(id, prepare("0")) {
			t.Fatal("first frame was not taken")
		}
		many := []socket.Prepared{prepare("1"), prepare("2"), prepare("3")}
		if n := b.engine.SendMany(id, many); n != len(many) {
			t.Fatalf("%d of %d frames were taken", n, len(many))
		}
		for i := range 4 {
			if got := far.read(t); got != fmt.Sprint(i) {
				t.Errorf("frame %d: got %q", i, got)
			}
		}
	})
}

func TestTheGoodbyeComesBehindEarlierFramesAndNothingBehindIt(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		id, far := b.open(t)
		b.engine.Send(id, prepare("earlier"))
		b.engine.End(id, prepare("goodbye"), 4500, "machine_deleted")
		b.engine.End(id, prepare("second"), 4001, "silent")
		if b.engine.Send(id, prepare("late")) || b.engine.SendMany(id, []socket.Prepared{prepare("late")}) != 0 {
			t.Error("a frame was taken after End")
		}
		for _, want := range []string{"earlier", "goodbye", "close 4500 machine_deleted"} {
			if got := far.read(t); got != want {
				t.Errorf("peer read %q, want %q", got, want)
			}
		}
		far.sayClose(4500, "")
		b.recorder.expect(t, "closed by us: 4500 machine_deleted")
	})
}

func TestEndWithoutAGoodbyeIsACloseFrame(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		id, far := b.open(t)
		b.engine.End(id, nil, 1012, "drain; retryAfterMs=5")
		if got, want := far.read(t), "close 1012 drain; retryAfterMs=5"; got != want {
			t.Errorf("peer read %q, want %q", got, want)
		}
		far.sayClose(1012, "")
		b.recorder.expect(t, "closed by us: 1012 drain; retryAfterMs=5")
	})
}

func TestAPeersCloseIsToldAndAnswered(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		_, far := b.open(t)
		_ = far.text("last words")
		far.sayClose(4321, "enough")
		b.recorder.expect(t, `text "last words"`)
		if got, want := far.read(t), "close 4321 enough"; got != want {
			t.Errorf("peer was answered %q, want %q", got, want)
		}
		b.recorder.expect(t, "closed by peer: 4321 enough")
	})
}

func TestAPeerThatVanishesIsClosedWith1006(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		_, far := b.open(t)
		_ = far.text("last words")
		b.recorder.expect(t, `text "last words"`)
		far.drop()
		b.recorder.expect(t, "closed by peer: 1006")
	})
}

func TestTheHandlerMaySendAndEndFromItsCalls(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			b := newRig(t, kind, socket.Config{})
			b.recorder.onFrame = func(id socket.ID, payload []byte) {
				b.engine.Send(id, socket.Prepare(payload))
				b.engine.End(id, prepare("goodbye"), 4000, "")
			}
			_, far := b.open(t)
			_ = far.text("echo")
			_ = far.text("not heard any more")
			for _, want := range []string{"echo", "goodbye", "close 4000"} {
				if got := far.read(t); got != want {
					t.Errorf("peer read %q, want %q", got, want)
				}
			}
			far.sayClose(4000, "")
			b.recorder.expect(t, "closed by us: 4000")
		})
	}
}

func TestALateIDReachesNobody(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		old, far := b.open(t)
		far.drop()
		b.recorder.expect(t, "closed by peer: 1006")
		var id socket.ID
		for id.Slot() != old.Slot() || id == 0 { // the slot comes back once Closed has returned
			id, far = b.open(t)
		}
		if id == old {
			t.Fatalf("ID %x came twice", uint64(id))
		}
		b.engine.End(old, nil, 4500, "")
		if b.engine.Send(old, prepare("x")) || b.engine.SendMany(old, []socket.Prepared{prepare("x")}) != 0 {
			t.Error("a frame for a connection that is gone was taken")
		}
		if !b.engine.LastByte(old).IsZero() {
			t.Error("a connection that is gone has a last byte")
		}
		for _, nobody := range []socket.ID{0, 12345, 1<<63 | 99999} {
			if b.engine.Send(nobody, prepare("x")) {
				t.Errorf("a frame for ID %x was taken", uint64(nobody))
			}
		}
		b.engine.Send(id, prepare("alive"))
		if got := far.read(t); got != "alive" {
			t.Errorf("the slot's next connection read %q", got)
		}
	})
}

func TestCloseEndsEverythingAndRefusesWhatComesLate(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		var closed atomic.Int32
		b.recorder.onClosed = func(_ socket.ID, how socket.Closure) {
			if got := describe(how); got != "closed by us: 1006" {
				t.Error(got)
			}
			closed.Add(1)
		}
		ids := make([]socket.ID, 10)
		for i := range ids {
			ids[i], _ = b.open(t)
		}
		b.engine.Close()
		if n := closed.Load(); n != int32(len(ids)) {
			t.Errorf("%d of %d connections were closed when Close returned", n, len(ids))
		}
		if b.engine.Send(ids[0], prepare("late")) {
			t.Error("a frame was taken after Close")
		}
		b.engine.Close()
	})
}

// backlog sends n numbered frames to one connection, going on at each Drained, as a session does.
type backlog struct {
	engine socket.Engine
	id     socket.ID
	total  int

	mu      sync.Mutex
	next    int
	refused int
	drained int
	stopped chan struct{} // closed at the first refusal
}

func (s *backlog) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.next < s.total {
		end := min(s.next+1+s.next%5, s.total)
		var frames []socket.Prepared
		for i := s.next; i < end; i++ {
			frames = append(frames, numbered(i))
		}
		taken := s.engine.SendMany(s.id, frames)
		s.next += taken
		if taken < len(frames) {
			if s.refused++; s.refused == 1 {
				close(s.stopped)
			}
			return
		}
	}
}

// numbered frames are of many sizes, some larger than what may be pending.
func numbered(i int) socket.Prepared {
	size := 100 + i%900
	if i%500 == 499 {
		size = 100 << 10
	}
	return prepare(fmt.Sprintf("%d ", i) + strings.Repeat(".", size))
}

func TestAStoppedPeerIsRefusedThenDrainedAndMissesNothing(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			b := newRig(t, kind, socket.Config{})
			s := &backlog{engine: b.engine, total: 8_000, stopped: make(chan struct{})}
			b.recorder.onDrained = func(socket.ID) {
				s.mu.Lock()
				s.drained++
				s.mu.Unlock()
				s.send()
			}
			var far farEnd
			s.id, far = b.open(t)
			s.send()
			receive(t, s.stopped)
			for i := range s.total {
				if got, want := far.read(t), string(numbered(i).Payload()); got != want {
					t.Fatalf("frame %d: got %.20q in %d bytes, want %.20q in %d", i, got, len(got), want, len(want))
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.next != s.total || s.drained != s.refused {
				t.Errorf("%d frames taken, %d refusals, %d calls of Drained", s.next, s.refused, s.drained)
			}
		})
	}
}

func TestWhatAStoppedPeerHoldsIsBounded(t *testing.T) {
	const pending, large = 64 << 10, 4 << 20
	everywhere(t, socket.Config{MaxPending: pending}, engines, func(t *testing.T, b *rig) {
		id, far := b.open(t)
		frame, taken := prepare(strings.Repeat("x", 1000)), 0
		for b.engine.Send(id, frame) {
			if taken += len(frame); taken > large {
				t.Fatalf("%d bytes were taken for a peer that reads nothing", taken)
			}
		}
		least := pending - len(frame)
		if !b.keepsPending() {
			least = 16 << 10 // the kernel's share
		}
		if taken < least {
			t.Errorf("only %d bytes were taken, want at least %d", taken, least)
		}
		for range taken / len(frame) {
			far.read(t)
		}
		b.recorder.expect(t, "drained")
		if !b.engine.Send(id, prepare(strings.Repeat("y", large))) {
			t.Error("a large frame was refused though nothing was pending")
		}
		if got := far.read(t); len(got) != large {
			t.Errorf("large frame came in %d bytes, want %d", len(got), large)
		}
	})
}

func TestManyGoroutinesMaySendEndAndCloseAtOnce(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			b := newRig(t, kind, socket.Config{MaxPending: 2000})
			var open, closed atomic.Int32
			b.recorder.onFrame = func(id socket.ID, payload []byte) { b.engine.Send(id, socket.Prepare(payload)) }
			b.recorder.onClosed = func(socket.ID, socket.Closure) { closed.Add(1) }
			ids := make([]socket.ID, 8)
			peers := make([]farEnd, len(ids))
			for i := range ids {
				ids[i], peers[i] = b.open(t)
				open.Add(1)
			}
			var all sync.WaitGroup
			for worker := range 4 {
				all.Go(func() { useAll(b.engine, ids, worker) })
			}
			var far sync.WaitGroup
			for i, p := range peers {
				far.Go(func() { babble(t, p, i) })
			}
			all.Wait()
			b.engine.Close()
			far.Wait()
			if open.Load() != closed.Load() {
				t.Errorf("%d opened, %d closed", open.Load(), closed.Load())
			}
		})
	}
}

func useAll(e socket.Engine, ids []socket.ID, worker int) {
	many := []socket.Prepared{prepare("a"), prepare("b"), prepare(strings.Repeat("c", 500))}
	for round := range 200 {
		for i, id := range ids {
			e.Send(id, many[0])
			e.SendMany(id, many)
			e.LastByte(id)
			if round == 20*(worker+1)+10*i {
				e.End(id, many[1], 4000, "round")
			}
		}
	}
}

// babble writes and reads until the connection is closed.
func babble(t *testing.T, p farEnd, i int) {
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; p.text(fmt.Sprint(n)) == nil && n < 500; n++ {
		}
	})
	for {
		got := p.read(t)
		if strings.HasPrefix(got, "end") || strings.HasPrefix(got, "close") {
			break
		}
	}
	if i%2 == 0 {
		p.sayClose(4000, "")
	} else {
		p.drop()
	}
	writing.Wait()
}
