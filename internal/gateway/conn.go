package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/limit"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
)

// stage is how far a connection has come.
type stage uint8

const (
	unauthenticated stage = iota
	judged                // its auth frame is with the judge
	admitted
	closed
)

// conn is one connection, from its first byte to its last.
type conn struct {
	// Fixed after construction.
	id     socket.ID
	peer   socket.Peer
	opened time.Time

	// Owned by the engine's calls of Frame, which never overlap for one connection. Shared is set
	// before the first frame of a session.
	over   int32
	shared bool // a default machine: its sessions are metered one by one

	mu sync.Mutex
	// Guarded by mu.
	stage   stage
	session *session.Session
	release func() // gives back the place among the unauthenticated
	told    bool   // of the session's beginning, so that its end is told too
	boot    uint64 // of the machine, as it says; 0: it does not
}

func (c *conn) live() *session.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// meter names who the frames of a session count against.
func (c *conn) meter(s *session.Session) meterKey {
	key := meterKey{machine: s.Machine()}
	if c.shared {
		key.session = c.id
	}
	return key
}

// move goes from one stage to the next unless the connection is elsewhere by now.
func (c *conn) move(from, to stage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != from {
		return false
	}
	c.stage = to
	return true
}

// leaveWaitingLocked gives back the place among the unauthenticated, once.
func (c *conn) leaveWaitingLocked() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// connTable finds connections by id.
type connTable struct {
	waiting waitingRoom
	shards  [64]struct {
		mu sync.RWMutex
		m  map[socket.ID]*conn
	}
}

func newConnTable() *connTable {
	t := &connTable{}
	for i := range t.shards {
		t.shards[i].m = make(map[socket.ID]*conn)
	}
	return t
}

func (t *connTable) get(id socket.ID) *conn {
	sh := &t.shards[id.Slot()%uint32(len(t.shards))]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[id]
}

func (t *connTable) put(c *conn) {
	sh := &t.shards[c.id.Slot()%uint32(len(t.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.m[c.id] = c
}

func (t *connTable) remove(id socket.ID) *conn {
	sh := &t.shards[id.Slot()%uint32(len(t.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.m[id]
	delete(sh.m, id)
	return c
}

// waitingRoom keeps unauthenticated connections in the order they came, which is the order in which
// their time runs out: one ticker serves them all.
type waitingRoom struct {
	mu sync.Mutex
	// Guarded by mu.
	queue []*conn
}

func (w *waitingRoom) enter(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, c)
}

// late takes out those that came before t.
func (w *waitingRoom) late(t time.Time) []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.queue) && !w.queue[n].opened.After(t) {
		n++
	}
	late := slices.Clone(w.queue[:n])
	clear(w.queue[:n]) // what has left must not be kept alive by the queue's array
	w.queue = w.queue[n:]
	return late
}

// limits are the gateway's rate limits.
type limits struct {
	// byKey and byAddress count failed authentications; a good key is never held up by them.
	byKey     *limit.Keyed[keyAt]
	byAddress *limit.Keyed[limit.Addr]
	messages  *limit.Keyed[meterKey]
	// waiting bounds connections that have not authenticated.
	waiting *limit.Places[limit.Addr]
	// refusals bounds what is logged of them.
	refusals *refusalLog
}
