package socket

import (
	"context"
	"fmt"
	"math"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// MemoryPeer is the far end of a connection of the memory engine. Its methods may be called by
// several goroutines at once, and by a handler, except those that say that they wait.
type MemoryPeer struct{ conn *memoryConn }

// Room is how much a peer lets wait for it before it has stopped. A frame is taken if none waits,
// or if it fits with those that wait; with no Bytes or no Frames nothing is taken.
type Room struct{ Bytes, Frames int }

const anyFrames = math.MaxInt

// CloseError is what a peer reads after the last frame of a connection that has ended.
type CloseError struct{ Closure }

func (e *CloseError) Error() string {
	return fmt.Sprintf("connection is closed with code %d: %s", e.Code, e.Reason)
}

// ID is the engine's name for the connection.
func (p *MemoryPeer) ID() ID { return p.conn.id }

// WriteText sends a text message. It waits while the handler is MaxFrame bytes or a thousand messages
// behind. The error is a *CloseError.
func (p *MemoryPeer) WriteText(payload []byte) error { return p.write(textMessage, payload) }

// WriteBinary sends a binary message, as WriteText does.
func (p *MemoryPeer) WriteBinary(payload []byte) error { return p.write(binaryMessage, payload) }

func (p *MemoryPeer) write(kind messageKind, payload []byte) error {
	m := p.conn.engine.check(kind, payload)
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.phase != open || c.peerGone {
			return p.closeErrorLocked()
		}
		if c.hasInboxRoomLocked(len(m.payload)) {
			break
		}
		change := c.changeLocked()
		c.mu.Unlock()
		<-change
		c.mu.Lock()
	}
	c.touch()
	c.count.framesIn.Add(1)
	c.count.bytesIn.Add(uint64(len(payload)))
	c.inbox = append(c.inbox, m)
	c.inboxBytes += len(m.payload)
	c.scheduleLocked()
	return nil
}

// Touch lets one byte arrive that completes nothing: it moves LastByte.
func (p *MemoryPeer) Touch() {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == open && !c.peerGone {
		c.touch()
		c.count.bytesIn.Add(1)
	}
}

// Next takes the payload of the next frame, if one waits. It must not be changed.
func (p *MemoryPeer) Next() (payload []byte, ok bool) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nextLocked()
}

// Read waits for the next frame and takes its payload, which must not be changed. After the last one
// of a connection that has ended, the error is a *CloseError.
func (p *MemoryPeer) Read(ctx context.Context) ([]byte, error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if payload, ok := c.nextLocked(); ok {
			return payload, nil
		}
		if c.phase != open {
			return nil, p.closeErrorLocked()
		}
		change := c.changeLocked()
		c.mu.Unlock()
		var err error
		select {
		case <-change:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		c.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

func (c *memoryConn) nextLocked() ([]byte, bool) {
	if len(c.out) == 0 {
		return nil, false
	}
	next := c.out[0]
	c.out[0] = nil
	if c.out = c.out[1:]; len(c.out) == 0 {
		c.out = nil
	}
	c.outBytes -= len(next)
	c.count.bytesOut.Add(uint64(len(next)))
	if c.refused > 0 {
		c.touch() // it had fallen behind, and is alive
	}
	c.makeRoomLocked()
	return next.Payload(), true
}

// Waiting is how many frames wait for the peer.
func (p *MemoryPeer) Waiting() int {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// SetRoom sets how much may wait for the peer; the zero Room stops it. What waits already stays.
func (p *MemoryPeer) SetRoom(room Room) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = room
	c.makeRoomLocked()
}

// Drop cuts the connection behind what the peer has written, without a close frame.
func (p *MemoryPeer) Drop() {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(Closure{Code: frame.CodeAbnormal})
}

// Close sends a close frame behind what the peer has written.
func (p *MemoryPeer) Close(code uint16, reason string) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(Closure{Code: code, Reason: reason})
}

// Closure is how the connection ended, as the peer saw it: Local says that the peer began. It is
// false as long as the engine's end is open; frames may still wait after it.
func (p *MemoryPeer) Closure() (Closure, bool) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == open {
		return Closure{}, false
	}
	how := c.how
	how.Local = !how.Local
	return how, true
}

func (p *MemoryPeer) closeErrorLocked() error {
	how := p.conn.how
	if p.conn.phase == open {
		how = Closure{Code: frame.CodeAbnormal} // the peer itself has gone, and nobody has answered yet
	}
	how.Local = !how.Local
	return &CloseError{how}
}
