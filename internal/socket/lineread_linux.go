package socket

import (
	"errors"
	"log/slog"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

// The methods of this file are the reading goroutine's: the one that adopts the connection, then the
// loop.

// read takes what the socket has, up to one buffer, so that a peer that talks without end holds up
// nobody. If it was as much as least, there may be more.
func (lp *loop) read(l line, least int, now time.Time) {
	n, err := recv(int(l.rec.fd), lp.buf[:])
	if lp.received(l, lp.buf[:n], err, now) && n >= least {
		lp.leave(l)
	}
}

// leave has the connection read again in the next turn.
func (lp *loop) leave(l line) {
	if l.rec.reading&owing == 0 {
		l.rec.reading |= owing
		lp.left = append(lp.left, l)
	}
}

// readLeft reads those that may have more, until they have nothing.
func (lp *loop) readLeft(now time.Time) {
	lp.left, lp.spare = lp.spare[:0], lp.left
	for _, l := range lp.spare {
		if l.isHeard() {
			l.rec.reading &^= owing
			lp.read(l, 1, now)
		}
	}
	clear(lp.spare)
}

// isHeard tells whether the connection is still there to be read.
func (l line) isHeard() bool {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	return l.isHereLocked() && !l.has(muted)
}

// received takes the result of a read, and tells whether there may be more.
func (lp *loop) received(l line, data []byte, err error, now time.Time) (goesOn bool) {
	switch {
	case len(data) > 0:
		l.touch(now)
		if l.take(&lp.parser, data) {
			lp.said++
			return true
		}
		l.mute()
	case err == nil:
		l.mute()
	case !errors.Is(err, unix.EAGAIN):
		l.finish(Closure{Code: frame.CodeAbnormal})
	}
	return false
}

func (l line) touch(now time.Time) {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.touchLocked(now)
}

// take handles what was read, with a parser that is idle before and after, and tells whether to go on
// reading.
func (l line) take(idle *frame.Parser, data []byte) bool {
	l.count().bytesIn.Add(uint64(len(data)))
	parser := idle
	if l.rec.reading&parted != 0 {
		parser = l.busy().parser
	}
	ok := l.parse(parser, data)
	l.keep(parser, ok && l.rec.reading&deaf == 0 && !parser.IsIdle())
	*idle = frame.Parser{}
	return ok
}

func (l line) parse(parser *frame.Parser, data []byte) bool {
	for len(data) > 0 && l.rec.reading&deaf == 0 {
		ev, rest, err := parser.Next(&l.engine.rules, data)
		if err != nil {
			l.breach(err.(*frame.Violation))
			return true
		}
		if !l.handle(ev) {
			return false
		}
		data = rest
	}
	return true
}

// keep has the parser of an unfinished message wait in the side map for more, and no other.
func (l line) keep(parser *frame.Parser, unfinished bool) {
	wasParted := l.rec.reading&parted != 0
	if wasParted == unfinished {
		return // idle still, or in the side map already
	}
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	b := l.makeBusy()
	l.rec.reading ^= parted
	if unfinished {
		kept := *parser
		b.parser = &kept
		return
	}
	b.parser = nil
	l.tidyLocked(b)
}

func (l line) handle(ev frame.Event) bool {
	switch ev.Op {
	case frame.OpText:
		l.count().framesIn.Add(1)
		if l.isOpen() {
			l.engine.handler.Frame(l.id, ev.Payload)
		}
	case frame.OpBinary:
		l.count().framesIn.Add(1)
		if l.isOpen() {
			l.engine.handler.Binary(l.id)
		}
	case frame.OpPing:
		l.answerPing(ev.Payload)
	case frame.OpClose:
		code, reason, _ := frame.ParseClose(ev.Payload) // the parser has checked it
		l.leave(ending, Closure{Code: code, Reason: reason})
		return false
	}
	return true
}

func (l line) isOpen() bool {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	return l.rec.phase == open
}

func (l line) leave(to phase, how Closure) {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.leaveLocked(to, nil, how)
}

// breach fails the connection (RFC 6455 7.1.7). The peer is read on without listening: closing on
// what it has sent would reset the connection, and it might never read why.
func (l line) breach(v *frame.Violation) {
	l.engine.cfg.Logger.Debug("peer broke the WebSocket protocol",
		slog.Int("code", int(v.Code)), slog.String("why", v.Reason))
	l.rec.reading |= deaf
	l.leave(failing, Closure{Code: v.Code, Reason: v.Reason, Local: true})
}
