package session

import (
	"encoding/binary"
	"strings"
	"sync"
)

// nameRoom is enough for the ids that a gateway gives, and for UUIDs.
const nameRoom = 36

// name is the id of a machine or of an account inside a record. Of one that does not fit it is the
// number in names.
type name struct {
	length uint8
	bytes  [nameRoom]byte
}

// tooLong is the length of a name that does not fit.
const tooLong = 0xff

// names keeps the names that do not fit into their records, as long as they are used.
type names struct {
	mu sync.RWMutex
	// Guarded by mu.
	long map[uint32]string
	last uint32 // the number given last
}

// keep is for one drop.
func (t *names) keep(text string) (n name) {
	if len(text) <= nameRoom {
		n.length = uint8(copy(n.bytes[:], text))
		return n
	}
	n.length = tooLong
	binary.NativeEndian.PutUint32(n.bytes[:], t.number(strings.Clone(text)))
	return n
}

func (t *names) number(text string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.long == nil {
		t.long = make(map[uint32]string)
	}
	for t.last++; t.long[t.last] != ""; t.last++ {
	}
	t.long[t.last] = text
	return t.last
}

func (t *names) drop(n *name) {
	if n.length != tooLong {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.long, binary.NativeEndian.Uint32(n.bytes[:]))
	if len(t.long) == 0 {
		t.long = nil // an empty map keeps the room of a full one
	}
}

// of is the text of n, which lies where n does: whoever keeps it makes a string of it.
func (t *names) of(n *name) []byte {
	if n.length != tooLong {
		return n.bytes[:n.length]
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return []byte(t.long[binary.NativeEndian.Uint32(n.bytes[:])])
}
