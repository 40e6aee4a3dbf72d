package socket_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

func inMemory(t *testing.T, cfg socket.Config, test func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer)) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "memory", cfg)
		id, far := b.open(t)
		test(t, b.engine.(*socket.Memory), b.recorder, id, far.(memoryPeer).MemoryPeer)
	})
}

func TestTenThousandMemoryConnectionsAddNoGoroutine(t *testing.T) {
	const n = 10_000
	r := newRecorder()
	e := socket.NewMemory(socket.Config{Handler: r})
	defer e.Close()
	before := runtime.NumGoroutine()
	peers := make([]*socket.MemoryPeer, n)
	for i := range peers {
		peers[i] = e.Dial(testPeer)
	}
	for range n {
		id := receive(t, r.ids)
		if !e.Send(id, prepare("hello")) {
			t.Fatal("frame was not taken")
		}
	}
	for _, p := range peers {
		_ = p.WriteText([]byte("hello"))
		if got, ok := p.Next(); !ok || string(got) != "hello" {
			t.Fatalf("peer read %q", got)
		}
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("%d goroutines with %d connections, %d before", got, n, before)
	}
}

func TestEndLetsAStoppedMemoryPeerGoAtOnce(t *testing.T) {
	inMemory(t, socket.Config{}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
		began := time.Now()
		e.Send(id, prepare("earlier"))
		p.SetRoom(socket.Room{})
		e.End(id, prepare("goodbye"), 4001, "silent")
		r.expect(t, "closed by us: 4001 silent")
		if got := at(began); got != 0 {
			t.Errorf("closed after %v, want at once", got)
		}
		if how, ended := p.Closure(); !ended || how != (socket.Closure{Code: 4001, Reason: "silent"}) {
			t.Errorf("peer saw %+v, %v", how, ended)
		}
		for _, want := range []string{"earlier", "goodbye"} {
			if got, _ := p.Next(); string(got) != want {
				t.Errorf("peer read %q, want %q", got, want)
			}
		}
		closed := new(socket.CloseError)
		if _, err := p.Read(t.Context()); !errors.As(err, &closed) || closed.Code != 4001 || closed.Local {
			t.Errorf("read behind the end: %v", err)
		}
		if err := p.WriteText(nil); !errors.As(err, &closed) || closed.Code != 4001 {
			t.Errorf("write behind the end: %v", err)
		}
	})
}

func TestRoomDecidesWhatAMemoryPeerTakes(t *testing.T) {
	inMemory(t, socket.Config{}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
		frames := []socket.Prepared{prepare("1"), prepare("2"), prepare("3"), prepare("4")}
		p.SetRoom(socket.Room{})
		if e.Send(id, frames[0]) {
			t.Error("a stopped peer took a frame")
		}
		p.SetRoom(socket.Room{Bytes: 1, Frames: 2})
		r.expect(t, "drained")
		if n := e.SendMany(id, frames); n != 1 {
			t.Errorf("with room for one byte %d frames were taken, want 1", n)
		}
		p.SetRoom(socket.Room{Bytes: 1000, Frames: 2})
		r.expect(t, "drained")
		if n := e.SendMany(id, frames[1:]); n != 1 {
			t.Errorf("with room for one more frame %d were taken", n)
		}
		synctest.Wait()
		if p.Waiting() != 2 || p.ID() != id {
			t.Errorf("%d frames wait for peer %x, want 2 for %x", p.Waiting(), uint64(p.ID()), uint64(id))
		}
		if n := len(r.heard); n != 0 {
			t.Errorf("handler heard %q though there was no room", r.next(t))
		}
		for i, want := range []string{"1", "2"} {
			if got, _ := p.Next(); string(got) != want {
				t.Errorf("frame %d: got %q", i, got)
			}
		}
		r.expect(t, "drained")
		synctest.Wait()
		if n := len(r.heard); n != 0 {
			t.Errorf("handler heard %q after one Drained", r.next(t))
		}
	})
}

func TestWhatAMemoryPeerDoesMovesLastByte(t *testing.T) {
	inMemory(t, socket.Config{}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
		for name, c := range map[string]struct {
			do    func()
			moves bool
		}{
			"text":         {func() { _ = p.WriteText([]byte("x")) }, true},
			"binary":       {func() { _ = p.WriteBinary([]byte("x")) }, true},
			"touch":        {p.Touch, true},
			"being sent":   {func() { e.Send(id, prepare("x")) }, false},
			"reading":      {func() { e.Send(id, prepare("x")); p.Next() }, false},
			"making room":  {func() { p.SetRoom(socket.Room{Bytes: 1000, Frames: 1}) }, false},
			"being behind": {func() { e.Send(id, prepare("x")); e.Send(id, prepare("x")) }, false},
		} {
			time.Sleep(time.Minute)
			c.do()
			if moved := at(e.LastByte(id)) == 0; moved != c.moves {
				t.Errorf("%s: moved %v, want %v", name, moved, c.moves)
			}
			p.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 100})
			for _, ok := p.Next(); ok; _, ok = p.Next() {
			}
		}
	})
}

func TestAMemoryPeerThatHasFallenBehindAndReadsMovesLastByte(t *testing.T) {
	inMemory(t, socket.Config{}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
		p.SetRoom(socket.Room{Bytes: 1000, Frames: 1})
		e.SendMany(id, []socket.Prepared{prepare("1"), prepare("2")})
		time.Sleep(time.Minute)
		p.Next()
		if got := at(e.LastByte(id)); got != 0 {
			t.Errorf("last byte was %v ago, want now", got)
		}
	})
}

func TestAMemoryPeerIsHeldToTheRulesOfMessages(t *testing.T) {
	for name, c := range map[string]struct {
		write func(p *socket.MemoryPeer) error
		want  string
	}{
		"too big":        {func(p *socket.MemoryPeer) error { return p.WriteText([]byte("123456")) }, "closed by us: 1009 message too big"},
		"binary too big": {func(p *socket.MemoryPeer) error { return p.WriteBinary([]byte("123456")) }, "closed by us: 1009 message too big"},
		"not UTF-8":      {func(p *socket.MemoryPeer) error { return p.WriteText([]byte("\xff")) }, "closed by us: 1007 text is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, socket.Config{MaxFrame: 5}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
				_ = p.WriteText([]byte("fine"))
				_ = c.write(p)
				r.expect(t, `text "fine"`, c.want)
			})
		})
	}
}

func TestAPayloadThatAHandlerKeepsIsOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "memory", socket.Config{})
		var kept []byte
		b.recorder.onFrame = func(_ socket.ID, payload []byte) { kept = payload }
		_, far := b.open(t)
		_ = far.text("secret")
		synctest.Wait()
		if string(kept) == "secret" {
			t.Error("payload is still there after the call")
		}
	})
}

func TestAMemoryPeerWaitsForAHandlerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "memory", socket.Config{MaxFrame: 10})
		var heard atomic.Int32
		b.recorder.onFrame = func(socket.ID, []byte) { time.Sleep(time.Second); heard.Add(1) }
		_, far := b.open(t)
		began := time.Now()
		for range 10 {
			if err := far.text(strings.Repeat("x", 10)); err != nil {
				t.Fatal(err)
			}
		}
		// One is in the handler's hands, one waits, so eight had to be heard before the last write.
		if got := at(began); got != 8*time.Second || heard.Load() != 8 {
			t.Errorf("wrote for %v while %d were heard, want 8s and 8", got, heard.Load())
		}
	})
}

func TestAClosedMemoryEngineRefusesPeers(t *testing.T) {
	e := socket.NewMemory(socket.Config{Handler: newRecorder()})
	e.Close()
	p := e.Dial(testPeer)
	if how, ended := p.Closure(); !ended || how.Code != 1006 {
		t.Errorf("peer saw %+v, %v, want 1006", how, ended)
	}
	if err := p.WriteText([]byte("x")); err == nil {
		t.Error("a write was taken")
	}
	p.Touch()
	p.Drop()
	p.Close(1000, "")
	var closed *socket.CloseError
	if _, err := p.Read(t.Context()); !errors.As(err, &closed) || !strings.Contains(err.Error(), "1006") {
		t.Errorf("read %v, want 1006", err)
	}
}

func TestAMemoryPeerThatLeavesWritesNoMoreAndReadsOn(t *testing.T) {
	inMemory(t, socket.Config{}, func(t *testing.T, e *socket.Memory, r *recorder, id socket.ID, p *socket.MemoryPeer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading nothing: %v", err)
		}
		e.Send(id, prepare("on its way"))
		p.Close(4100, "done")
		var closed *socket.CloseError
		if err := p.WriteText([]byte("late")); !errors.As(err, &closed) || !closed.Local {
			t.Errorf("write behind the own close: %v", err)
		}
		r.expect(t, "closed by peer: 4100 done")
		if got, _ := p.Next(); string(got) != "on its way" {
			t.Errorf("peer read %q", got)
		}
		if how, ended := p.Closure(); !ended || how != (socket.Closure{Code: 4100, Reason: "done", Local: true}) {
			t.Errorf("peer saw %+v, %v", how, ended)
		}
	})
}

func TestMemoryCallsTheHandlerInTheOrderOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "memory", socket.Config{})
		var peers []farEnd
		for range 3 {
			_, far := b.open(t)
			peers = append(peers, far)
		}
		for round := range 3 {
			for i, p := range peers {
				_ = p.text(fmt.Sprintf("%d.%d", i, round))
				synctest.Wait()
			}
		}
		for round := range 3 {
			for i := range peers {
				b.recorder.expect(t, fmt.Sprintf(`text "%d.%d"`, i, round))
			}
		}
	})
}
