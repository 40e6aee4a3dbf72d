package session

import (
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// batchBytes is about how much a session that is behind is handed in one write.
const batchBytes = 64 << 10

// Drained tells that the session's socket has room again.
func (s Session) Drained() {
	if l, ok := s.lock(); ok {
		defer l.unlock()
		l.advance()
	}
}

// advance brings a session that is behind towards the head, until it is live, its socket is full
// (Drained comes back) or the log must be read (apply comes back).
func (l locked) advance() {
	for l.has(behind) && l.has(started) && !l.has(cut|reading) {
		begun := l.hub.begun.Load()
		msgs, reached, ok := l.hub.log.Recent(nil, l.target(), l.rec.pos, batchBytes)
		if !ok {
			l.set(reading)
			l.hub.reads.add(Session(l))
			return
		}
		// What has not begun comes with its round, in its place among the live-only messages.
		if !l.hand(upTo(begun, msgs), min(reached, begun)) {
			return
		}
		// The window holds a message before begun moves, and begun moves before the tail looks for
		// the message's sessions: a message past reached that has not begun yet will find this
		// session live.
		if l.hub.begun.Load() <= l.rec.pos {
			l.unset(behind)
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

// hand hands over messages that cover everything up to reached, and tells whether the socket took
// them all.
func (l locked) hand(msgs []Message, reached uint64) bool {
	frames := make([]socket.Prepared, len(msgs))
	for i, m := range msgs {
		frames[i] = m.Frame(l.isBare())
	}
	n := len(frames)
	if n > 0 {
		n = l.hub.engine.SendMany(l.id, frames)
	}
	l.hub.delivered.Add(uint64(n))
	if n < len(frames) {
		if n > 0 {
			l.rec.pos = msgs[n-1].Position()
		}
		return false
	}
	l.rec.pos = max(l.rec.pos, reached)
	return true
}

// request is what a session that waits for a read of the log asks for.
func (s Session) request() (r Request, ok bool) {
	l, ok := s.lock()
	if !ok {
		return r, false
	}
	defer l.unlock()
	return Request{To: l.target(), After: l.rec.pos, MaxBytes: batchBytes}, !l.has(cut)
}

// apply takes the result of a read of the log and goes on from there.
func (s Session) apply(r Result) {
	l, ok := s.lock()
	if !ok {
		return
	}
	defer l.unlock()
	l.unset(reading)
	if l.has(cut) || !l.tellGap(r.Gap) {
		return
	}
	if l.hand(r.Messages, r.Reached) {
		l.advance()
	}
}

// tellGap tells the machine that history up to gap is gone. If the socket does not take it, the
// position stays and the next read finds the same gap.
func (l locked) tellGap(gap uint64) bool {
	if gap <= l.rec.pos {
		return true
	}
	if !l.isBare() {
		frame := socket.Prepare(wire.MustEncode(wire.Gap{Seq: gap}))
		if !l.hub.engine.Send(l.id, frame) {
			return false
		}
	}
	l.rec.pos = gap
	l.hub.gaps.Add(1)
	return true
}

func (l locked) target() Target {
	floor := l.hub.everyone
	return Target{Machine: string(floor.machine(l.rec)), Account: string(floor.account(l.rec))}
}
