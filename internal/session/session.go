package session

import (
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// Identity is who a session belongs to. A session keeps the names as they are: they should not be
// parts of something larger, which would be kept with them.
type Identity struct {
	Machine string
	Account string
	// Key is the SHA-256 of the key the session was opened with, by itself or through its token.
	Key [32]byte
	// Bare marks a client that announced no version: it is sent the fixed block and nothing else.
	Bare bool
	// Shared marks a default machine: each session may be another installation.
	Shared bool
}

// owner is what the sessions of an account have in common, as long as they came with the same key.
type owner struct {
	account string
	key     [32]byte
}

// Session is one live socket of a machine. There may be a million of them: what many have in common
// they share, what can be found is not kept, and times are counted from the hub's start.
type Session struct {
	// Fixed after construction. Small fields of all owners stand at the end, where they are packed.
	hub     *Hub
	owner   *owner
	socket  socket.ID
	machine string
	since   time.Duration // after the hub's start

	mu sync.Mutex
	// Guarded by mu.
	pos uint64
	why *Ending // nil: not ended

	// Guarded by the locks of the hub's indexes.
	next uint32 // the slot of the machine's next session, plus one; 0: none
	at   int32  // the place in the account's group

	// Owned by the hub's walk once the session has started.
	pingAt  tick
	freshAt tick // when the machine needs a fresh token

	// Guarded by mu.
	started bool // auth_success has been handed over
	behind  bool
	reading bool // queued for, or inside, a read of the log
	cut     bool // nothing goes in or out any more but the goodbye

	// Fixed after construction.
	bare, shared bool

	// Owned by whoever brings the machine's frames, one after the other.
	over uint8
}

// Ending is why a session ended: named before the socket is touched.
type Ending struct {
	Code   wire.CloseCode
	Reason string
}

// Identity is who the session belongs to.
func (s *Session) Identity() Identity {
	return Identity{Machine: s.machine, Account: s.owner.account, Key: s.owner.key, Bare: s.bare, Shared: s.shared}
}

// Machine is the id of the machine the session belongs to.
func (s *Session) Machine() string { return s.machine }

// Socket is the session's connection.
func (s *Session) Socket() socket.ID { return s.socket }

// Since is when the session entered the hub.
func (s *Session) Since() time.Time { return s.hub.wheel.start.Add(s.since) }

// ID names the session for people and logs.
func (s *Session) ID() string { return s.hub.sessionID(s.socket) }

// IsShared tells whether each session of the machine may be another installation.
func (s *Session) IsShared() bool { return s.shared }

// Over counts a frame that was over the machine's rate, and returns how many were in a row, up to
// 255. It is called for one frame after the other, as Within is.
func (s *Session) Over() int {
	s.over = max(s.over, s.over+1)
	return int(s.over)
}

// Within ends the row.
func (s *Session) Within() { s.over = 0 }

// State is the session's delivery state: everything for it up to position has been handed to its
// socket, and whether it is behind the log.
func (s *Session) State() (position uint64, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos, s.behind
}

// Start hands over hello, the first frame, and brings the session to the head from position after.
// A fresh token is due at refresh; zero means never.
func (s *Session) Start(hello socket.Prepared, after uint64, refresh time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.cut {
		return
	}
	s.started = true
	s.pos = after
	s.hub.engine.Send(s.socket, hello)
	s.hub.schedule(s, refresh)
	s.advanceLocked()
}

// Cut stops everything to and from the session at once; only End can still write to it.
func (s *Session) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
}

// IsCut tells whether frames from the machine must be dropped.
func (s *Session) IsCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// End ends the session: last, if not nil, is the last frame the machine is sent. The first End wins
// and names the reason; it tells whether it was this one.
func (s *Session) End(last socket.Prepared, why Ending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(last, why)
}

func (s *Session) endLocked(last socket.Prepared, why Ending) bool {
	if s.why != nil {
		return false
	}
	s.cut, s.why = true, &why
	s.hub.engine.End(s.socket, last, uint16(why.Code), why.Reason)
	return true
}

// Why is the reason the session ended with; ok is false if this end did not end it.
func (s *Session) Why() (why Ending, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		return Ending{}, false
	}
	return *s.why, true
}

// Send hands over a frame that is no message of the log, in its place between them.
func (s *Session) Send(p socket.Prepared) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started && !s.cut && s.hub.engine.Send(s.socket, p)
}
