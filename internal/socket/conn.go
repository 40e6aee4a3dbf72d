package socket

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// conn is one connection of the portable engine.
type conn struct {
	// Fixed after construction.
	engine *Portable
	count  *counterShard
	id     ID
	nc     net.Conn
	peer   Peer

	lastByte atomic.Int64 // Unix nanoseconds
	unproven atomic.Int64 // bytes written since lastByte moved
	work     sync.WaitGroup

	// Owned by the reading goroutine.
	parser   frame.Parser
	deaf     bool // what the peer sends is thrown away: it broke the protocol
	answered bool // the peer has sent its close frame

	mu           sync.Mutex
	phase        phase
	how          Closure // named before phase leaves open
	pending      net.Buffers
	pendingBytes int    // of pending and of what the flusher holds
	pong         []byte // the answer to the latest ping, which is all that is owed (RFC 6455 5.5.3)
	flushing     bool   // a flusher runs
	draining     bool   // a Drained call runs
	refused      bool   // a Drained call is owed
}

type phase uint8

const (
	open    phase = iota
	ending        // the close frame is the last thing pending
	failing       // as ending, and the writing side is closed behind it
	ended         // nothing is written any more
)

const readBuffer = 4 << 10

// serve is the life of the connection.
func (c *conn) serve(early []byte) {
	c.engine.handler.Opened(c.id, c.peer)
	c.read(early)
	c.finish()
}

func (c *conn) read(early []byte) {
	if !c.take(early) {
		return
	}
	buf := make([]byte, readBuffer)
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			c.touch()
			if !c.take(buf[:n]) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *conn) touch() {
	c.lastByte.Store(time.Now().UnixNano())
	c.unproven.Store(0)
}

// take handles what was read, and tells whether to go on reading.
func (c *conn) take(data []byte) bool {
	c.count.bytesIn.Add(uint64(len(data)))
	for len(data) > 0 && !c.deaf {
		ev, rest, err := c.parser.Next(&c.engine.rules, data)
		if err != nil {
			return c.breach(err.(*frame.Violation))
		}
		if !c.handle(ev) {
			return false
		}
		data = rest
	}
	return true
}

func (c *conn) handle(ev frame.Event) bool {
	switch ev.Op {
	case frame.OpText:
		c.count.framesIn.Add(1)
		if c.isOpen() {
			c.engine.handler.Frame(c.id, ev.Payload)
		}
	case frame.OpBinary:
		c.count.framesIn.Add(1)
		if c.isOpen() {
			c.engine.handler.Binary(c.id)
		}
	case frame.OpPing:
		c.answerPing(ev.Payload)
	case frame.OpClose:
		c.answered = true
		code, reason, _ := frame.ParseClose(ev.Payload) // the parser has checked it
		c.leave(ending, nil, Closure{Code: code, Reason: reason})
		return false
	}
	return true
}

// breach fails the connection (RFC 6455 7.1.7) and tells whether to go on reading: the peer is read,
// without listening, so that it comes to read why.
func (c *conn) breach(v *frame.Violation) bool {
	c.engine.cfg.Logger.Debug("peer broke the WebSocket protocol",
		slog.Int("code", int(v.Code)), slog.String("why", v.Reason))
	c.deaf = true
	return c.leave(failing, nil, Closure{Code: v.Code, Reason: v.Reason, Local: true})
}

func (c *conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == open
}

// leave names how the connection ends, and then has last and the close frame written behind what is
// pending. From here on every read and write ends within LingerTimeout. It tells whether the
// connection was open: the first call wins.
func (c *conn) leave(to phase, last Prepared, how Closure) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return false
	}
	c.phase, c.how, c.refused = to, how, false
	if last != nil {
		c.count.framesOut.Add(1)
		c.queueLocked(last)
	}
	c.queueLocked(frame.AppendClose(nil, how.Code, how.Reason))
	// It only sets timers: nothing here waits for the peer.
	_ = c.nc.SetDeadline(time.Now().Add(LingerTimeout))
	c.flushLocked()
	return true
}

// abort ends the connection at once. A name it already has stays.
func (c *conn) abort(how Closure) {
	c.mu.Lock()
	if c.phase == open {
		c.how = how
	}
	c.phase = ended
	c.dropLocked()
	c.mu.Unlock()
	abandon(c.nc)
}

// finish closes what read has left and tells the handler.
func (c *conn) finish() {
	if c.isOpen() {
		c.abort(Closure{Code: frame.CodeAbnormal})
	}
	c.work.Wait()
	if c.answered {
		_ = c.nc.Close() // with the goodbye of TLS, which a peer that answers takes
	}
	abandon(c.nc)
	c.engine.handler.Closed(c.id, c.how)
	// Not before: the handler may use the slot until here.
	c.engine.conns.remove(c.id)
}
