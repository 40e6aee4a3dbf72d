package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/limit"
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

// conn is one connection until it is admitted. From then on there is its session, and nothing else is
// kept of it.
type conn struct {
	// Fixed after construction.
	id     socket.ID
	peer   socket.Peer
	opened time.Time
	silent *atomic.Int64 // the table's

	mu sync.Mutex
	// Guarded by mu.
	stage   stage
	release func() // gives back the place among the unauthenticated

	// Guarded by the waiting room's lock.
	before, behind *conn
}

// move goes from one stage to the next unless the connection is elsewhere by now.
func (c *conn) move(from, to stage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != from {
		return false
	}
	c.becomeLocked(to)
	return true
}

func (c *conn) becomeLocked(to stage) {
	if c.stage == unauthenticated {
		c.silent.Add(-1)
	}
	c.stage = to
}

// leaveWaitingLocked gives back the place among the unauthenticated, once.
func (c *conn) leaveWaitingLocked() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// close lets nothing come of the connection any more.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.becomeLocked(closed)
	c.leaveWaitingLocked()
}

// connTable finds connections that are not admitted by id.
type connTable struct {
	waiting waitingRoom
	silent  atomic.Int64 // those that have yet to say who they are
	guests  guestBook    // those that are admitted
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
	t.silent.Add(1)
}

// remove forgets a connection that is admitted or gone, and returns it.
func (t *connTable) remove(id socket.ID) *conn {
	sh := &t.shards[id.Slot()%uint32(len(t.shards))]
	sh.mu.Lock()
	c := sh.m[id]
	delete(sh.m, id)
	sh.mu.Unlock()
	if c != nil {
		t.waiting.leave(c)
	}
	return c
}

// waitingRoom keeps unauthenticated connections in the order they came, which is the order in which
// their time runs out: one ticker serves them all. Who is admitted or gone leaves it.
type waitingRoom struct {
	mu sync.Mutex
	// Guarded by mu, and so are the neighbours of the connections here.
	first, last *conn
}

func (w *waitingRoom) enter(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.before = w.last
	if w.last == nil {
		w.first = c
	} else {
		w.last.behind = c
	}
	w.last = c
}

// leave takes c out; whoever is not here is left alone.
func (w *waitingRoom) leave(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == c || c.before != nil {
		w.leaveLocked(c)
	}
}

func (w *waitingRoom) leaveLocked(c *conn) {
	if c.before == nil {
		w.first = c.behind
	} else {
		c.before.behind = c.behind
	}
	if c.behind == nil {
		w.last = c.before
	} else {
		c.behind.before = c.before
	}
	c.before, c.behind = nil, nil
}

// late takes out those that came before t.
func (w *waitingRoom) late(t time.Time) []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var late []*conn
	for w.first != nil && !w.first.opened.After(t) {
		late = append(late, w.first)
		w.leaveLocked(w.first)
	}
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
