package socket

import (
	"sync"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// busy is what a connection needs while it is not idle.
type busy struct {
	// Owned by the goroutine that reads.
	parser *frame.Parser // of an unfinished message

	// Guarded by the record's lock.
	rest [][]byte // what is left of a frame that was begun, and what must be written behind it
	held int      // bytes of rest, counted in the engine's queued
	// pong is one more than the place in rest of an answer that was not begun; 0: none. Only the
	// latest ping has to be answered (RFC 6455 5.5.3).
	pong int
	how  Closure // named before phase leaves open
}

// sideMap holds what busy connections need. Its lock is taken inside a record's.
type sideMap struct {
	mu sync.Mutex
	// Guarded by mu.
	bySlot map[uint32]*busy
}

// get returns nil for an idle connection.
func (m *sideMap) get(slot uint32) *busy {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bySlot[slot]
}

func (m *sideMap) make(slot uint32) *busy {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bySlot[slot]
	if b == nil {
		b = &busy{}
		m.bySlot[slot] = b
	}
	return b
}

func (m *sideMap) drop(slot uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bySlot, slot)
}
