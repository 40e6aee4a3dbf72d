package session

import (
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// Identity is who a session belongs to.
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

// State is what there is to know of a session.
type State struct {
	Identity
	// Since is when the session entered the hub.
	Since time.Time
	// Position: everything for the session up to it has been handed to its socket.
	Position uint64
	// Behind tells that the session reads the log, and is handed nothing else.
	Behind bool
	// Why is the reason the session ended with, if it has Ended.
	Ended bool
	Why   Ending
}

// Session is one live socket of a machine: a name for it that may be kept. When the session has left,
// its record may be another's; then nothing that is asked of the name is done, or found. The zero
// Session is one that has left.
type Session struct {
	hub *Hub
	rec *record
	id  socket.ID
}

// locked is a session that is there, with its record locked.
type locked Session

func (s Session) lock() (l locked, ok bool) {
	if s.rec == nil {
		return l, false
	}
	s.rec.mu.Lock()
	return s.found()
}

// found is s, whose record is locked; the record is unlocked if it is another's by now.
func (s Session) found() (l locked, ok bool) {
	if s.rec.generation.Load() != generationOf(s.id) {
		s.rec.mu.Unlock()
		return l, false
	}
	return locked(s), true
}

func (l locked) unlock() { l.rec.mu.Unlock() }

// has tells whether one of several marks is set.
func (l locked) has(m marks) bool { return l.rec.marks&m != 0 }
func (l locked) set(m marks)      { l.rec.marks |= m }
func (l locked) unset(m marks)    { l.rec.marks &^= m }

func (l locked) isBare() bool { return l.rec.kind&bare != 0 }

func (l locked) identity() Identity {
	floor := l.hub.everyone
	return Identity{
		Machine: string(floor.machine(l.rec)), Account: string(floor.account(l.rec)), Key: floor.owners.at(l.rec.owner).key,
		Bare: l.isBare(), Shared: l.rec.kind&shared != 0,
	}
}

func (l locked) state() State {
	st := State{Identity: l.identity(), Since: l.since(), Position: l.rec.pos, Behind: l.has(behind), Ended: l.has(ended)}
	if st.Ended {
		st.Why = l.hub.everyone.endings.of(l.id)
	}
	return st
}

func (l locked) since() time.Time { return l.hub.wheel.start.Add(l.rec.since) }

// Socket is the session's connection.
func (s Session) Socket() socket.ID { return s.id }

// ID names the session for people and logs.
func (s Session) ID() string { return sessionID(s.id, s.hub.nonce) }

// Identity is who the session belongs to; ok is false when it has left.
func (s Session) Identity() (who Identity, ok bool) {
	l, ok := s.lock()
	if !ok {
		return who, false
	}
	defer l.unlock()
	return l.identity(), true
}

// State is what there is to know of the session; ok is false when it has left.
func (s Session) State() (st State, ok bool) {
	l, ok := s.lock()
	if !ok {
		return st, false
	}
	defer l.unlock()
	return l.state(), true
}

// IsBare tells whether the client announced no version.
func (s Session) IsBare() bool {
	l, ok := s.lock()
	if !ok {
		return false
	}
	defer l.unlock()
	return l.isBare()
}

// enter notes that the session can be found.
func (s Session) enter() {
	if l, ok := s.lock(); ok {
		defer l.unlock()
		l.set(entered)
	}
}

func (s Session) isEntered() bool {
	l, ok := s.lock()
	if !ok {
		return false
	}
	defer l.unlock()
	return l.has(entered)
}

// leave stops the session, and tells whether it is this call's to take it out of the hub.
func (s Session) leave() bool {
	l, ok := s.lock()
	if !ok {
		return false
	}
	defer l.unlock()
	if !l.has(entered) {
		return false
	}
	l.unset(entered)
	l.set(cut)
	return true
}

// Over counts a frame that was over the machine's rate, and returns how many were in a row, up to
// 255. It is called for one frame after the other, as Within is.
func (s Session) Over() int {
	l, ok := s.lock()
	if !ok {
		return 0
	}
	defer l.unlock()
	l.rec.over = max(l.rec.over, l.rec.over+1)
	return int(l.rec.over)
}

// Within ends the row.
func (s Session) Within() {
	if l, ok := s.lock(); ok {
		defer l.unlock()
		l.rec.over = 0
	}
}

// Cut stops everything to and from the session at once; only End can still write to it.
func (s Session) Cut() {
	if l, ok := s.lock(); ok {
		defer l.unlock()
		l.set(cut)
	}
}

// IsCut tells whether frames from the machine must be dropped.
func (s Session) IsCut() bool {
	l, ok := s.lock()
	if !ok {
		return true
	}
	defer l.unlock()
	return l.has(cut)
}

// End ends the session: last, if not nil, is the last frame the machine is sent. The first End wins
// and names the reason; it tells whether it was this one.
func (s Session) End(last socket.Prepared, why Ending) bool {
	l, ok := s.lock()
	if !ok {
		return false
	}
	defer l.unlock()
	return l.end(last, why)
}

func (l locked) end(last socket.Prepared, why Ending) bool {
	if l.has(ended) {
		return false
	}
	l.set(cut | ended)
	l.hub.everyone.endings.add(l.id, why)
	l.hub.engine.End(l.id, last, uint16(why.Code), why.Reason)
	return true
}

// Send hands over a frame that is no message of the log, in its place between them.
func (s Session) Send(p socket.Prepared) bool {
	l, ok := s.lock()
	if !ok {
		return false
	}
	defer l.unlock()
	return l.send(p)
}

func (l locked) send(p socket.Prepared) bool {
	return l.has(started) && !l.has(cut) && l.hub.engine.Send(l.id, p)
}
