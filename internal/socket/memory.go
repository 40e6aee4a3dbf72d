package socket

import (
	"bytes"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// Memory is the engine for tests and simulation: its connections carry whole messages, and have no
// socket below them. One goroutine calls the handler for all connections, in the order in which
// things happened, one event of a connection at a time; a connection adds no goroutine and no timer.
//
// A close is answered at once, so End closes at once: what was taken before stays readable by the
// peer. The payload given to Handler.Frame is overwritten after the call, so that a handler that
// keeps it is found out.
type Memory struct {
	// Fixed after construction.
	cfg        Config
	handler    Handler
	counters   *counters
	dispatched chan struct{} // closed when the dispatcher has ended

	conns table[memoryConn]

	mu     sync.Mutex // taken inside memoryConn.mu
	wake   sync.Cond  // the dispatcher waits here
	ready  []*memoryConn
	closed bool
}

var _ Engine = (*Memory)(nil)

// NewMemory makes a memory engine. It panics if cfg is wrong. Close must be called when it is no
// longer needed.
func NewMemory(cfg Config) *Memory {
	cfg, err := cfg.withDefaults()
	if err != nil {
		panic("socket.NewMemory: " + err.Error())
	}
	e := &Memory{cfg: cfg, handler: cfg.Handler, dispatched: make(chan struct{})}
	e.wake.L = &e.mu
	e.counters = newCounters(e.conns.len)
	if err := e.counters.register(cfg.Registerer); err != nil {
		panic("socket.NewMemory: " + err.Error())
	}
	// Ends when Close was called and every connection's Closed call has returned; Close waits for it.
	go func() {
		defer close(e.dispatched)
		e.dispatch()
	}()
	return e
}

// Dial opens a connection and returns the peer's end of it. After Close the peer finds it closed.
func (e *Memory) Dial(peer Peer) *MemoryPeer {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		c := &memoryConn{engine: e, phase: ended, how: Closure{Code: frame.CodeAbnormal, Local: true}}
		return &MemoryPeer{c}
	}
	c := e.conns.add(func(id ID) *memoryConn {
		c := &memoryConn{engine: e, count: e.counters.of(id), id: id, peer: peer}
		c.room = Room{Bytes: e.cfg.MaxPending, Frames: anyFrames}
		c.touch()
		return c
	})
	c.scheduled = true
	e.scheduleLocked(c)
	e.mu.Unlock()
	return &MemoryPeer{c}
}

// schedule puts c behind the connections that wait for the dispatcher.
func (e *Memory) schedule(c *memoryConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scheduleLocked(c)
}

func (e *Memory) scheduleLocked(c *memoryConn) {
	e.ready = append(e.ready, c)
	e.wake.Signal()
}

// dispatch is the one goroutine that calls the handler.
func (e *Memory) dispatch() {
	var turn []*memoryConn
	for {
		turn = e.takeReady(turn)
		if turn == nil {
			return
		}
		for i, c := range turn {
			turn[i] = nil
			c.step()
		}
	}
}

// takeReady exchanges spent for the connections that wait, or nil when the engine is done.
func (e *Memory) takeReady(spent []*memoryConn) []*memoryConn {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.ready) == 0 {
		if e.closed && e.conns.len() == 0 {
			return nil
		}
		e.wake.Wait()
	}
	turn := e.ready
	e.ready = spent[:0]
	return turn
}

// Send implements Engine.
func (e *Memory) Send(id ID, p Prepared) bool {
	c := e.conns.find(id)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admitLocked(p)
}

// SendMany implements Engine.
func (e *Memory) SendMany(id ID, p []Prepared) int {
	c := e.conns.find(id)
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(p) && c.admitLocked(p[n]) {
		n++
	}
	return n
}

// End implements Engine.
func (e *Memory) End(id ID, last Prepared, code uint16, reason string) {
	if c := e.conns.find(id); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.endLocked(last, Closure{Code: code, Reason: reason, Local: true})
	}
}

// LastByte implements Engine. It is the zero time if id is gone.
func (e *Memory) LastByte(id ID) time.Time {
	c := e.conns.find(id)
	if c == nil {
		return time.Time{}
	}
	return time.Unix(0, c.lastByte.Load())
}

// Close implements Engine. It must not be called by the handler.
func (e *Memory) Close() {
	e.mu.Lock()
	e.closed = true
	e.wake.Signal()
	e.mu.Unlock()
	for _, c := range e.conns.all() {
		c.mu.Lock()
		c.endLocked(nil, Closure{Code: frame.CodeAbnormal, Local: true})
		c.mu.Unlock()
	}
	<-e.dispatched
	e.counters.unregister(e.cfg.Registerer)
}

// check makes of payload what a codec would have made of it.
func (e *Memory) check(kind messageKind, payload []byte) message {
	broken := func(code uint16, reason string) message {
		return message{kind: brokenMessage, how: Closure{Code: code, Reason: reason, Local: true}}
	}
	switch {
	case len(payload) > e.cfg.MaxFrame:
		return broken(frame.CodeTooBig, "message too big")
	case kind == binaryMessage:
		return message{kind: kind}
	case !utf8.Valid(payload):
		return broken(frame.CodeNotUTF8, "text is not UTF-8")
	}
	return message{kind: kind, payload: bytes.Clone(payload)}
}
