package session

import (
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// Identity is who a session belongs to.
type Identity struct {
	Machine string
	Account string
	// Key is the SHA-256 of the key the session was opened with, by itself or through its token.
	Key [32]byte
	// Bare marks a client that announced no version: it is sent the fixed block and nothing else.
	Bare bool
}

// Session is one live socket of a machine. There may be a million of them: what many have in common
// they share, and times are counted from the hub's start.
type Session struct {
	// Fixed after construction.
	hub     *Hub
	socket  socket.ID
	number  uint64
	machine string
	account string
	key     *[32]byte
	since   time.Duration // after the hub's start
	bare    bool

	mu sync.Mutex
	// Guarded by mu.
	pos     uint64
	why     *Ending // nil: not ended
	started bool    // auth_success has been handed over
	behind  bool
	reading bool // queued for, or inside, a read of the log
	cut     bool // nothing goes in or out any more but the goodbye

	// Guarded by the locks of the hub's indexes.
	at [kinds]int32

	// Owned by the hub's walk once the session has started.
	pingAt  tick
	freshAt tick // when the machine needs a fresh token
}

// Ending is why a session ended: named before the socket is touched.
type Ending struct {
	Code   wire.CloseCode
	Reason string
}

// Identity is who the session belongs to.
func (s *Session) Identity() Identity {
	return Identity{Machine: s.machine, Account: s.account, Key: *s.key, Bare: s.bare}
}

// Machine is the id of the machine the session belongs to.
func (s *Session) Machine() string { return s.machine }

// Socket is the session's connection.
func (s *Session) Socket() socket.ID { return s.socket }

// Since is when the session entered the hub.
func (s *Session) Since() time.Time { return s.hub.wheel.start.Add(s.since) }

// ID names the session for people and logs.
func (s *Session) ID() string { return sessionID(s.number) }

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

// deliver hands over a message from the tail, unless the session has it or will read it itself.
func (s *Session) deliver(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos := m.Position()
	if s.behind || s.cut || pos <= s.pos {
		return
	}
	if s.hub.engine.Send(s.socket, m.Frame(s.bare)) {
		s.pos = pos
		s.hub.delivered.Add(1)
		return
	}
	// The tail comes in order: whatever was for this live session before m has been handed over.
	s.pos = pos - 1
	s.fallBehindLocked()
}

// deliverLive hands over a live-only message, or drops it.
func (s *Session) deliverLive(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return
	}
	if s.behind || !s.hub.engine.Send(s.socket, m.Frame(s.bare)) {
		s.hub.dropped.Add(1)
		return
	}
	s.hub.delivered.Add(1)
}

func (s *Session) fallBehindLocked() {
	s.behind = true
	s.hub.fellBehind.Add(1)
}
