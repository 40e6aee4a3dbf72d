package broker

import "context"

// First is the oldest position that is kept; what lies below is gone. It is measured every second.
func (b *Broker) First() uint64 { return b.lives.kept.Load().first }

// Last is the newest position this node knows of.
func (b *Broker) Last() uint64 {
	_, head := b.window.span()
	return max(head, b.lives.kept.Load().last)
}

// Resolve turns a position that a machine comes with into one to read from. recovered tells that
// nothing between the machine's position and now can be missing.
//
//   - A position of the current life is itself, unless what follows it is gone: then it is moved to
//     just below the oldest entry kept, and not recovered.
//   - A position of an earlier life is cut to that life's end, if it lies beyond, and moved up to the
//     oldest entry kept, if it lies below. It is never recovered: that the life ended means that
//     entries after its end may have been acknowledged and lost, and the machine has not had them or
//     the log has not. So every machine is told once.
//   - An epoch that the log does not know starts from the oldest entry kept, not recovered.
//   - A position beyond the end of the current life was not given out by it. It is cut to the end,
//     not recovered.
func (b *Broker) Resolve(epoch string, seq uint64) (after uint64, recovered bool) {
	f, known := b.lives.find(epoch)
	floor := b.First() - min(1, b.First())
	switch {
	case !known:
		return floor, false
	case f.Ended:
		return max(min(seq, f.End), floor), false
	case seq < floor:
		return floor, false
	case seq > b.Last() && seq > b.lives.end():
		return b.Last(), false
	}
	return seq, true
}

// end asks the log for its last position, which other nodes may have moved beyond what this one has
// heard. A log that does not answer may have any.
func (l *lives) end() uint64 {
	s, err := l.state(context.Background(), *l.current.Load())
	if err != nil {
		return 1<<64 - 1
	}
	return s.LastSeq
}

// Recent appends to dst what a session has after a position and the window holds: the messages for
// its machine, for its account and for all, in order, until maxBytes of frames have been taken; one
// message is always taken. Everything for the session up to reached is then in entries. ok is false
// if the window does not reach back to after; Read does. It does not block.
func (b *Broker) Recent(session Target, after uint64, maxBytes int, dst []*Entry) (entries []*Entry, reached uint64, ok bool) {
	return b.window.recent(session, after, maxBytes, dst)
}
