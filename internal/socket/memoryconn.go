package socket

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// memoryConn is one connection of the memory engine; both ends of it.
type memoryConn struct {
	// Fixed after construction.
	engine *Memory
	count  *counterShard
	id     ID
	peer   Peer

	lastByte atomic.Int64 // Unix nanoseconds

	// Owned by the dispatcher.
	opened bool

	mu        sync.Mutex
	phase     phase // open or ended
	how       Closure
	scheduled bool // waits for the dispatcher, or is in its hands

	// From the peer to the handler.
	inbox      []message
	inboxBytes int
	peerGone   bool // the peer has closed or dropped; its last message says so

	// From the engine to the peer.
	out      []Prepared
	outBytes int
	room     Room
	refused  int  // size of the frame that was not taken, for which Drained is owed; 0: none
	drained  bool // the dispatcher has to call Drained

	changed chan struct{} // closed when the peer has something to see; made by those who wait
}

type messageKind uint8

const (
	textMessage messageKind = iota
	binaryMessage
	closeMessage // by the peer
	brokenMessage
)

type message struct {
	kind    messageKind
	payload []byte
	how     Closure // of closeMessage and brokenMessage
}

func (c *memoryConn) touch() { c.lastByte.Store(time.Now().UnixNano()) }

// step is one event of the connection. The dispatcher calls it while c is scheduled.
func (c *memoryConn) step() {
	if !c.opened {
		c.opened = true
		c.engine.handler.Opened(c.id, c.peer)
	} else {
		c.mu.Lock()
		event := c.nextEventLocked()
		c.mu.Unlock()
		if !event() {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scheduled = false
	c.scheduleLocked()
}

// nextEventLocked returns what to call the handler with; the call tells whether c goes on.
func (c *memoryConn) nextEventLocked() func() bool {
	handler := c.engine.handler
	switch {
	case c.phase == ended:
		return c.tellClosed
	case c.drained:
		c.drained = false
		return func() bool { handler.Drained(c.id); return true }
	}
	m := c.inbox[0] // it is only scheduled for an event, and there is no other
	if c.inbox = c.inbox[1:]; len(c.inbox) == 0 {
		c.inbox = nil
	}
	c.inboxBytes -= len(m.payload)
	c.announceLocked()
	switch m.kind {
	case textMessage:
		return func() bool {
			handler.Frame(c.id, m.payload)
			clear(m.payload)
			return true
		}
	case binaryMessage:
		return func() bool { handler.Binary(c.id); return true }
	default:
		c.endLocked(nil, m.how)
		return func() bool { return true }
	}
}

func (c *memoryConn) tellClosed() bool {
	c.engine.handler.Closed(c.id, c.how)
	// Not before: the handler may use the slot until here.
	c.engine.conns.remove(c.id)
	return false
}

// maxInbox bounds the messages that wait for the handler, where MaxFrame bounds their bytes.
const maxInbox = 1000

func (c *memoryConn) hasInboxRoomLocked(size int) bool {
	if len(c.inbox) == 0 {
		return true
	}
	return len(c.inbox) < maxInbox && c.inboxBytes+size <= c.engine.cfg.MaxFrame
}

// scheduleLocked brings c to the dispatcher if there is an event.
func (c *memoryConn) scheduleLocked() {
	if c.scheduled || c.phase == open && len(c.inbox) == 0 && !c.drained {
		return
	}
	c.scheduled = true
	c.engine.schedule(c)
}

func (c *memoryConn) admitLocked(p Prepared) bool {
	if c.phase != open {
		return false
	}
	if !c.fitsLocked(len(p)) {
		c.refused = len(p)
		c.count.refused.Add(1)
		return false
	}
	c.queueLocked(p)
	return true
}

// fitsLocked: with any room at all one frame is taken when none is waiting, as a socket does.
func (c *memoryConn) fitsLocked(size int) bool {
	if c.room.Bytes <= 0 || c.room.Frames <= 0 {
		return false
	}
	return len(c.out) == 0 || len(c.out) < c.room.Frames && c.outBytes+size <= c.room.Bytes
}

func (c *memoryConn) queueLocked(p Prepared) {
	c.count.framesOut.Add(1)
	c.out = append(c.out, p)
	c.outBytes += len(p)
	c.announceLocked()
}

// makeRoomLocked calls for Drained if the frame that was refused would be taken now.
func (c *memoryConn) makeRoomLocked() {
	if c.refused > 0 && c.phase == open && c.fitsLocked(c.refused) {
		c.refused, c.drained = 0, true
		c.scheduleLocked()
	}
}

func (c *memoryConn) endLocked(last Prepared, how Closure) {
	if c.phase != open {
		return
	}
	c.phase, c.how = ended, how
	if last != nil {
		c.queueLocked(last)
	}
	c.inbox, c.inboxBytes = nil, 0
	c.refused, c.drained = 0, false
	c.announceLocked()
	c.scheduleLocked()
}

// announceLocked wakes those who wait for the connection to change.
func (c *memoryConn) announceLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// changeLocked is closed when something has happened to the connection.
func (c *memoryConn) changeLocked() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// closeLocked puts the peer's end of the connection behind what it has written.
func (c *memoryConn) closeLocked(how Closure) {
	if c.peerGone || c.phase != open {
		return
	}
	c.peerGone = true
	if how.Code != frame.CodeAbnormal {
		c.touch()
	}
	c.inbox = append(c.inbox, message{kind: closeMessage, how: how})
	c.announceLocked()
	c.scheduleLocked()
}
