package gateway

import (
	"net/netip"
	"sync"

	"github.com/fleetline/fleetline/internal/socket"
)

// guestBook keeps what is told of an admitted machine's connection and is not the session's business:
// where it comes from, and from which boot. By the slot of its socket, which engines number densely, it
// costs 28 bytes a session and nothing that a collector looks at.
type guestBook struct {
	mu sync.RWMutex
	// Guarded by mu. A chunk stays: the engine uses its slots again.
	chunks map[uint32]*guestChunk
}

const guestSlots = 1 << 10

type guestChunk struct {
	mu sync.Mutex
	// Guarded by mu.
	guests [guestSlots]guest
}

type guest struct {
	addr       [16]byte
	generation uint32 // of the socket's id
	boot       uint32 // of the machine, as it says; 0: it does not
	here       bool
	told       bool // of the session's beginning, so that its end is told too
}

func (v guest) address() string { return netip.AddrFrom16(v.addr).Unmap().String() }

func (v guest) isOf(id socket.ID) bool { return v.here && v.generation == uint32(id>>32) }

func (b *guestBook) chunk(id socket.ID) *guestChunk {
	n := id.Slot() / guestSlots
	b.mu.RLock()
	c := b.chunks[n]
	b.mu.RUnlock()
	if c != nil {
		return c
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.chunks == nil {
		b.chunks = make(map[uint32]*guestChunk)
	}
	if c = b.chunks[n]; c == nil {
		c = new(guestChunk)
		b.chunks[n] = c
	}
	return c
}

func (b *guestBook) enter(id socket.ID, addr netip.Addr, boot uint32) {
	c := b.chunk(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests[id.Slot()%guestSlots] = guest{addr: addr.As16(), generation: uint32(id >> 32), boot: boot, here: true}
}

func (b *guestBook) look(id socket.ID) (guest, bool) {
	c := b.chunk(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.guests[id.Slot()%guestSlots]
	return v, v.isOf(id)
}

// tell calls f with a guest who has not left, and notes that it was told of. Whoever leaves meanwhile
// waits: an end is told after its beginning or not at all.
func (b *guestBook) tell(id socket.ID, f func(guest)) {
	c := b.chunk(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.guests[id.Slot()%guestSlots]
	if v.isOf(id) {
		v.told = true
		f(*v)
	}
}

func (b *guestBook) leave(id socket.ID) (v guest, ok bool) {
	c := b.chunk(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	v = c.guests[id.Slot()%guestSlots]
	if ok = v.isOf(id); ok {
		c.guests[id.Slot()%guestSlots] = guest{}
	}
	return v, ok
}
