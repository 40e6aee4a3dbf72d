package session

import (
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// batchBytes is about how much a session that is behind is handed in one write.
const batchBytes = 64 << 10

// Drained tells that the session's socket has room again.
func (s *Session) Drained() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked()
}

// advanceLocked brings a session that is behind towards the head, until it is live, its socket is
// full (Drained comes back) or the log must be read (apply comes back).
func (s *Session) advanceLocked() {
	for s.behind && s.started && !s.cut && !s.reading {
		begun := s.hub.begun.Load()
		msgs, reached, ok := s.hub.log.Recent(nil, s.target(), s.pos, batchBytes)
		if !ok {
			s.reading = true
			s.hub.reads.add(s)
			return
		}
		// What has not begun comes with its round, in its place among the live-only messages.
		if !s.handLocked(upTo(begun, msgs), min(reached, begun)) {
			return
		}
		// The window holds a message before begun moves, and begun moves before the tail looks for
		// the message's sessions: a message past reached that has not begun yet will find this
		// session live.
		if s.hub.begun.Load() <= s.pos {
			s.behind = false
		}
	}
}

func upTo(position uint64, msgs []Message) []Message {
	n := len(msgs)
	for n > 0 && msgs[n-1].Position() > position {
		n--
	}
	return msgs[:n]
}

// handLocked hands over messages that cover everything up to reached, and tells whether the socket
// took them all.
func (s *Session) handLocked(msgs []Message, reached uint64) bool {
	frames := make([]socket.Prepared, len(msgs))
	for i, m := range msgs {
		frames[i] = m.Frame(s.bare)
	}
	n := len(frames)
	if n > 0 {
		n = s.hub.engine.SendMany(s.socket, frames)
	}
	s.hub.delivered.Add(uint64(n))
	if n < len(frames) {
		if n > 0 {
			s.pos = msgs[n-1].Position()
		}
		return false
	}
	s.pos = max(s.pos, reached)
	return true
}

// apply takes the result of a read of the log and goes on from there.
func (s *Session) apply(r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	if s.cut || !s.tellGapLocked(r.Gap) {
		return
	}
	if s.handLocked(r.Messages, r.Reached) {
		s.advanceLocked()
	}
}

// tellGapLocked tells the machine that history up to gap is gone. If the socket does not take it,
// the position stays and the next read finds the same gap.
func (s *Session) tellGapLocked(gap uint64) bool {
	if gap <= s.pos {
		return true
	}
	if !s.bare {
		frame := socket.Prepare(wire.MustEncode(wire.Gap{Seq: gap}))
		if !s.hub.engine.Send(s.socket, frame) {
			return false
		}
	}
	s.pos = gap
	s.hub.gaps.Add(1)
	return true
}

func (s *Session) target() Target {
	return Target{Machine: s.machine, Account: s.owner.account}
}

func (s *Session) position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos
}
