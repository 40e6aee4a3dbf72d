package socket

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// Portable is the engine over net.Conn: every system, and TLS in this process. It has one reading
// goroutine per connection, and a writing one only while there is something to write.
type Portable struct {
	// Fixed after construction.
	cfg      Config
	handler  Handler
	rules    frame.Rules
	counters *counters
	scratch  sync.Pool // of *[pieceSize]byte, to gather small frames for one write

	conns   table[conn]
	running sync.WaitGroup // the reading goroutines

	mu     sync.Mutex
	closed bool
}

var (
	_ Engine   = (*Portable)(nil)
	_ Upgrader = (*Portable)(nil)
)

// NewPortable makes a portable engine. Close must be called when it is no longer needed.
func NewPortable(cfg Config) (*Portable, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configuring portable engine: %w", err)
	}
	e := newPortable(cfg, 0)
	if err := e.counters.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("registering metrics of portable engine: %w", err)
	}
	return e, nil
}

// newPortable makes an engine whose slots begin at firstSlot, so that it can stand beside another
// under one face. Its counters are not registered.
func newPortable(cfg Config, firstSlot uint32) *Portable {
	e := &Portable{cfg: cfg, handler: cfg.Handler, rules: cfg.rules()}
	e.conns.first = firstSlot
	e.scratch.New = func() any { return new([pieceSize]byte) }
	e.counters = newCounters(e.conns.len)
	return e
}

// sendBuffer is the kernel's share of what a peer has not taken, in bytes. It is small, so that a
// peer that has fallen behind is noticed, and so that many of them cost little.
const sendBuffer = 16 << 10

// Adopt takes over a connection whose handshake is done. early is what was read from it already. On
// an error the connection still belongs to the caller.
func (e *Portable) Adopt(nc net.Conn, early []byte, peer Peer) error {
	if tcp, ok := transport(nc).(*net.TCPConn); ok {
		// Both only tune: a connection that refuses them works.
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	c := e.conns.add(func(id ID) *conn {
		return &conn{engine: e, count: e.counters.of(id), id: id, nc: nc, peer: peer}
	})
	c.touch()
	e.running.Add(1)
	// Ends when the connection has ended; Close waits for it.
	go func() {
		defer e.running.Done()
		c.serve(early)
	}()
	return nil
}

// transport is the connection below TLS, or nc itself.
func transport(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}

// abandon closes without a word; a goodbye of TLS could wait for a stopped peer.
func abandon(nc net.Conn) { _ = transport(nc).Close() }

// Send implements Engine.
func (e *Portable) Send(id ID, p Prepared) bool {
	c := e.conns.find(id)
	return c != nil && c.send(p)
}

// SendMany implements Engine.
func (e *Portable) SendMany(id ID, p []Prepared) int {
	c := e.conns.find(id)
	if c == nil {
		return 0
	}
	return c.sendMany(p)
}

// End implements Engine.
func (e *Portable) End(id ID, last Prepared, code uint16, reason string) {
	if c := e.conns.find(id); c != nil {
		c.leave(ending, last, Closure{Code: code, Reason: reason, Local: true})
	}
}

// LastByte implements Engine. It is the zero time if id is gone.
func (e *Portable) LastByte(id ID) time.Time {
	c := e.conns.find(id)
	if c == nil {
		return time.Time{}
	}
	return time.Unix(0, c.lastByte.Load())
}

// Close implements Engine. It must not be called by the handler.
func (e *Portable) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	for _, c := range e.conns.all() {
		c.abort(Closure{Code: frame.CodeAbnormal, Local: true})
	}
	e.running.Wait()
	e.counters.unregister(e.cfg.Registerer)
}

func (e *Portable) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}
