package socket

import (
	"sync"
	"sync/atomic"
)

// record is all that the engine keeps of an idle connection. It holds no pointer, so that a million
// of them are nothing to the garbage collector.
type record struct {
	mu sync.Mutex
	// Guarded by mu.
	lastByte   int64 // Unix nanoseconds
	generation uint32
	fd         int32 // negative: closed
	unproven   int32 // bytes written since lastByte moved
	marks      marks
	phase      phase

	// Owned by the goroutine that reads: the one that adopts, then the loop.
	reading reading
}

// marks are what there is to know of a connection that is not idle.
type marks uint8

const (
	watched marks = 1 << iota // the loop's epoll knows the descriptor
	armed                     // epoll tells of room to write
	full                      // the kernel has taken no more, and epoll has not told of room since
	holding                   // the side map holds bytes to write
	refused                   // a Drained call is owed
	waiting                   // refused for want of budget: the keeper arms it
	muted                     // nothing is read any more
	broken                    // nothing can be written any more
)

// reading is what the reading goroutine has to know.
type reading uint8

const (
	parted reading = 1 << iota // the side map holds the parser of an unfinished message
	deaf                       // what the peer sends is thrown away: it broke the protocol
	owing                      // the loop will read it in its next turn
)

// records finds records by slot. They lie in chunks that never move, so finding takes no lock.
type records struct {
	chunks atomic.Pointer[[]*[chunkSlots]record] // replaced under mu, never changed

	mu sync.Mutex
	// Guarded by mu.
	free []uint32
	open int
}

// at is nil for a slot that never was.
func (t *records) at(slot uint32) *record {
	chunks := t.chunks.Load()
	if chunks == nil || int(slot/chunkSlots) >= len(*chunks) {
		return nil
	}
	return &(*chunks)[slot/chunkSlots][slot%chunkSlots]
}

// add opens a record for a descriptor.
func (t *records) add(fd int, now int64) ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		t.growLocked()
	}
	slot := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.open++
	return t.at(slot).open(slot, fd, now)
}

func (r *record) open(slot uint32, fd int, now int64) ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	if r.generation == 0 {
		r.generation = 1 // no ID is zero, also after 2^32 connections in the slot
	}
	r.fd, r.lastByte, r.unproven = int32(fd), now, 0
	r.phase, r.marks, r.reading = open, 0, 0
	return ID(r.generation)<<32 | ID(slot)
}

func (t *records) growLocked() {
	var chunks []*[chunkSlots]record
	if old := t.chunks.Load(); old != nil {
		chunks = append(chunks, *old...)
	}
	first := len(chunks) * chunkSlots
	fresh := new([chunkSlots]record)
	for i := range fresh {
		fresh[i].fd = -1
	}
	chunks = append(chunks, fresh)
	t.chunks.Store(&chunks)
	for slot := first + chunkSlots - 1; slot >= first; slot-- {
		t.free = append(t.free, uint32(slot))
	}
}

// remove gives the slot of a closed record back.
func (t *records) remove(slot uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = append(t.free, slot)
	t.open--
}

func (t *records) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// all are the connections that are open now.
func (t *records) all() []ID {
	chunks := t.chunks.Load()
	if chunks == nil {
		return nil
	}
	found := make([]ID, 0, t.len())
	for c, chunk := range *chunks {
		for i := range chunk {
			r := &chunk[i]
			r.mu.Lock()
			if r.fd >= 0 {
				found = append(found, ID(r.generation)<<32|ID(c*chunkSlots+i))
			}
			r.mu.Unlock()
		}
	}
	return found
}
