package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// record is all that the hub keeps of a session, at its socket's place on the floor. There may be a
// million: it holds no pointer and no byte more than it needs.
//
// As long as the session is there, what is fixed may be read under the lock of the record or of an
// index that names it: a session is on the floor before it is in an index, and leaves it after.
type record struct {
	mu sync.Mutex

	// generation is that of the socket; 0: there is no session. It is written under mu, and so it is a
	// hint to whoever holds no lock.
	generation atomic.Uint32

	// Fixed as long as the session is there.
	owner uint32        // its number
	since time.Duration // after the hub's start

	// Guarded by mu.
	pos     uint64
	pingAt  tick
	freshAt tick // when the machine needs a fresh token

	// Guarded by the locks of the hub's indexes.
	links [indexes]links

	// Guarded by mu.
	marks marks
	over  uint8 // frames in a row over the machine's rate

	// Fixed as long as the session is there.
	kind    kind
	machine name
}

// marks are how far a session has come.
type marks uint8

const (
	started marks = 1 << iota // auth_success has been handed over
	behind
	reading // queued for, or inside, a read of the log
	cut     // nothing goes in or out any more but the goodbye
	ended   // and the reason is among the endings
	entered // the indexes name it, until it leaves
)

// kind is what a session is by its machine's auth frame and row.
type kind uint8

const (
	bare kind = 1 << iota
	shared
)

func kindOf(who Identity) (k kind) {
	if who.Bare {
		k |= bare
	}
	if who.Shared {
		k |= shared
	}
	return k
}

func generationOf(id socket.ID) uint32 { return uint32(id >> 32) }
