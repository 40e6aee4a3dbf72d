package session

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fleetline/fleetline/internal/socket"
)

// floor is every session, by the slot of its socket. Engines number slots densely, so that a session
// costs a pointer here, and looking takes no lock.
type floor struct {
	chunks atomic.Pointer[map[uint32]*floorChunk] // replaced under mu, never changed

	mu sync.Mutex
}

const floorSlots = 1 << 10

type floorChunk [floorSlots]atomic.Pointer[Session]

func newFloor() *floor {
	f := &floor{}
	f.chunks.Store(&map[uint32]*floorChunk{})
	return f
}

// put enters s unless its socket has a session.
func (f *floor) put(s *Session) bool {
	slot := s.socket.Slot()
	return f.chunk(slot)[slot%floorSlots].CompareAndSwap(nil, s)
}

// chunk is made for the first session that needs it, and stays: the engine uses its slots again.
func (f *floor) chunk(slot uint32) *floorChunk {
	if c := (*f.chunks.Load())[slot/floorSlots]; c != nil {
		return c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := *f.chunks.Load()
	if c := old[slot/floorSlots]; c != nil {
		return c
	}
	next := maps.Clone(old)
	c := new(floorChunk)
	next[slot/floorSlots] = c
	f.chunks.Store(&next)
	return c
}

func (f *floor) remove(s *Session) {
	slot := s.socket.Slot()
	f.chunk(slot)[slot%floorSlots].CompareAndSwap(s, nil)
}

// at is the session at a slot, or nil.
func (f *floor) at(slot uint32) *Session {
	c := (*f.chunks.Load())[slot/floorSlots]
	if c == nil {
		return nil
	}
	return c[slot%floorSlots].Load()
}

// of is the session of a socket, or nil.
func (f *floor) of(id socket.ID) *Session {
	if s := f.at(id.Slot()); s != nil && s.socket == id {
		return s
	}
	return nil
}

// each calls f for every session. One that enters or leaves meanwhile may be called for or not.
func (f *floor) each(call func(*Session)) {
	for _, c := range *f.chunks.Load() {
		c.each(call)
	}
}

// walkerSessions is how many sessions are worth a goroutine of their own.
const walkerSessions = 512

// allAtOnce calls as each does, from several goroutines if there are many sessions, about n: what a
// round takes is the kernel's time for each write, and every processor can spend it.
func (f *floor) allAtOnce(n int, call func(*Session)) {
	chunks := slices.Collect(maps.Values(*f.chunks.Load()))
	var next atomic.Int32
	walk := func() {
		for i := int(next.Add(1)); i <= len(chunks); i = int(next.Add(1)) {
			chunks[i-1].each(call)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+n/walkerSessions) - 1 {
		others.Go(walk)
	}
	walk()
	others.Wait()
}

func (c *floorChunk) each(call func(*Session)) {
	for i := range c {
		if s := c[i].Load(); s != nil {
			call(s)
		}
	}
}
