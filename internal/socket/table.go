package socket

import (
	"sync"
	"sync/atomic"
)

// table finds an engine's connections by ID. Finding takes no lock: every Send of every goroutine
// begins with it.
type table[C any] struct {
	// Fixed before the first connection.
	first uint32 // the lowest slot number

	chunks atomic.Pointer[[]*chunk[C]] // replaced under mu, never changed

	mu          sync.Mutex
	free        []uint32
	generations []uint32 // by slot; that of the last connection in it
	open        int
}

const chunkSlots = 1 << 10

type chunk[C any] [chunkSlots]atomic.Pointer[entry[C]]

type entry[C any] struct {
	id   ID
	conn *C
}

// add finds a slot, makes the connection with its ID, and enters it.
func (t *table[C]) add(make func(ID) *C) *C {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.takeSlotLocked()
	id := ID(t.generations[slot])<<32 | ID(t.first+slot)
	c := make(id)
	(*t.chunks.Load())[slot/chunkSlots][slot%chunkSlots].Store(&entry[C]{id, c})
	t.open++
	return c
}

func (t *table[C]) takeSlotLocked() uint32 {
	if len(t.free) == 0 {
		t.growLocked()
	}
	slot := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.generations[slot]++
	if t.generations[slot] == 0 {
		t.generations[slot] = 1 // no ID is zero, also after 2^32 connections in the slot
	}
	return slot
}

func (t *table[C]) growLocked() {
	first := len(t.generations)
	var chunks []*chunk[C]
	if old := t.chunks.Load(); old != nil {
		chunks = append(chunks, *old...)
	}
	chunks = append(chunks, new(chunk[C]))
	t.chunks.Store(&chunks)
	t.generations = append(t.generations, make([]uint32, chunkSlots)...)
	for slot := first + chunkSlots - 1; slot >= first; slot-- {
		t.free = append(t.free, uint32(slot))
	}
}

// find returns nil if id names no open connection.
func (t *table[C]) find(id ID) *C {
	chunks := t.chunks.Load()
	slot := id.Slot() - t.first // far too large if id is another table's
	if chunks == nil || int(slot/chunkSlots) >= len(*chunks) {
		return nil
	}
	e := (*chunks)[slot/chunkSlots][slot%chunkSlots].Load()
	if e == nil || e.id != id {
		return nil
	}
	return e.conn
}

// remove gives id's slot back.
func (t *table[C]) remove(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := id.Slot() - t.first
	(*t.chunks.Load())[slot/chunkSlots][slot%chunkSlots].Store(nil)
	t.free = append(t.free, slot)
	t.open--
}

func (t *table[C]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// all returns the connections that are open now.
func (t *table[C]) all() []*C {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := make([]*C, 0, t.open)
	chunks := t.chunks.Load()
	if chunks == nil {
		return found
	}
	for _, chunk := range *chunks {
		for i := range chunk {
			if e := chunk[i].Load(); e != nil {
				found = append(found, e.conn)
			}
		}
	}
	return found
}
