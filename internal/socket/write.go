package socket

import (
	"net"
	"slices"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

const (
	// pieceSize bounds one write: a slow peer with one large frame is seen to take pieces of it.
	pieceSize = 16 << 10
	// stallTime is what a write takes only if it had to wait for the peer.
	stallTime = 10 * time.Millisecond
	// kernelShare is more than the kernel holds for a connection. A peer that has been written more
	// must have taken some of it.
	kernelShare = 64 << 10
)

func (c *conn) send(p Prepared) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.admitLocked(p) {
		return false
	}
	c.flushLocked()
	return true
}

func (c *conn) sendMany(p []Prepared) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(p) && c.admitLocked(p[n]) {
		n++
	}
	if n > 0 {
		c.flushLocked()
	}
	return n
}

// admitLocked queues p if there is room. If not, a flusher is running, because something is
// pending, and it will see that Drained is owed.
func (c *conn) admitLocked(p Prepared) bool {
	if c.phase != open {
		return false
	}
	if c.pendingBytes > 0 && c.pendingBytes+len(p) > c.engine.cfg.MaxPending {
		c.refused = true
		c.count.refused.Add(1)
		return false
	}
	c.count.framesOut.Add(1)
	c.queueLocked(p)
	return true
}

func (c *conn) queueLocked(f []byte) {
	c.pending = append(c.pending, f)
	c.pendingBytes += len(f)
}

func (c *conn) dropLocked() {
	c.pending, c.pong, c.refused = nil, nil, false
}

func (c *conn) answerPing(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return
	}
	c.pong = frame.AppendPong(nil, payload)
	c.flushLocked()
}

// flushLocked sees to it that what is pending is written.
func (c *conn) flushLocked() {
	if c.flushing {
		return
	}
	c.flushing = true
	c.work.Add(1)
	// Ends when nothing is pending or a write fails, which closing makes it do; finish waits for it.
	go func() {
		defer c.work.Done()
		c.flush()
	}()
}

func (c *conn) flush() {
	var batch, piece net.Buffers
	for {
		batch = c.takePending(batch)
		if len(batch) == 0 {
			break
		}
		for rest := batch; len(rest) > 0; {
			piece, rest = cut(piece[:0], rest)
			if err := c.write(piece); err != nil {
				c.forget()
				c.abort(Closure{Code: frame.CodeAbnormal})
				return
			}
		}
	}
	c.shutWriting()
	c.tellDrained()
}

// takePending exchanges spent for what is pending. If that is nothing, the flusher has to end.
func (c *conn) takePending(spent net.Buffers) net.Buffers {
	clear(spent) // it must not hold frames that are written
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.pending
	if c.pong != nil {
		batch = slices.Insert(batch, 0, c.pong)
		c.pendingBytes += len(c.pong)
		c.pong = nil
	}
	c.pending = spent[:0]
	if len(batch) == 0 {
		c.flushing, c.pending = false, nil
	}
	return batch
}

// cut takes one piece off the front of batch, which it changes. The piece has an array of its own,
// because writing a net.Buffers changes it too.
func cut(piece, batch net.Buffers) (_, rest net.Buffers) {
	room := pieceSize
	for i, f := range batch {
		if len(f) > room {
			if room > 0 {
				piece = append(piece, f[:room])
				batch[i] = f[room:]
			}
			return piece, batch[i:]
		}
		piece = append(piece, f)
		room -= len(f)
	}
	return piece, nil
}

func (c *conn) write(piece net.Buffers) error {
	size := 0
	for _, f := range piece {
		size += len(f)
	}
	began := time.Now()
	if err := c.writeOnce(piece); err != nil {
		return err
	}
	c.count.bytesOut.Add(uint64(size))
	if c.unproven.Add(int64(size)) > kernelShare || time.Since(began) >= stallTime {
		c.touch()
	}
	c.mu.Lock()
	c.pendingBytes -= size
	c.mu.Unlock()
	return nil
}

// writeOnce writes a piece with one call: TCP gathers it itself, others are given one buffer, so
// that TLS makes one record of it.
func (c *conn) writeOnce(piece net.Buffers) error {
	if _, ok := c.nc.(*net.TCPConn); ok {
		_, err := piece.WriteTo(c.nc)
		return err
	}
	if len(piece) == 1 {
		_, err := c.nc.Write(piece[0])
		return err
	}
	scratch := c.engine.scratch.Get().(*[pieceSize]byte)
	defer c.engine.scratch.Put(scratch)
	gathered := scratch[:0]
	for _, f := range piece {
		gathered = append(gathered, f...)
	}
	_, err := c.nc.Write(gathered)
	return err
}

// tellDrained calls Drained if it is owed and there is room. One call runs at a time; room that
// comes back meanwhile is found when it returns.
func (c *conn) tellDrained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.refused && !c.draining && !c.flushing && c.phase == open {
		c.refused, c.draining = false, true
		c.mu.Unlock()
		c.engine.handler.Drained(c.id)
		c.mu.Lock()
		c.draining = false
	}
}

// shutWriting tells a peer that broke the protocol that nothing follows, and leaves its side open.
func (c *conn) shutWriting() {
	c.mu.Lock()
	failing := c.phase == failing
	c.mu.Unlock()
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && failing {
		_ = half.CloseWrite()
	}
}

// forget has the kernel drop what it still holds for a peer that does not take it.
func (c *conn) forget() {
	if tcp, ok := transport(c.nc).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}
