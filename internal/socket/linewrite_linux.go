package socket

import (
	"errors"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

// smallFrame is taken whatever the budget says: it is how a healthy peer goes on while others have
// used it up.
const smallFrame = 4 << 10

func (l line) sendLocked(p Prepared) bool {
	if !l.mayBeginLocked(len(p)) {
		return false
	}
	return l.sentLocked([]Prepared{p}, l.writeLocked(p)) == 1
}

// sentLocked keeps what the kernel, which took n bytes, has left of a frame that was begun, and
// returns how many frames are taken. If those are not all, a Drained call is owed.
func (l line) sentLocked(frames []Prepared, n int) (taken int) {
	taken, begun := fit(frames, n)
	if begun > 0 {
		l.holdLocked(frames[taken][begun:])
		taken++
	}
	if taken < len(frames) {
		l.refuseLocked()
	}
	l.count().framesOut.Add(uint64(taken))
	return taken
}

func (l line) sendManyLocked(p []Prepared) int {
	taken := 0
	for taken < len(p) {
		if !l.mayBeginLocked(len(p[taken])) {
			break
		}
		batch := p[taken:min(taken+gatherMost, len(p))]
		n := l.sentLocked(batch, writeManyLocked(l, batch))
		taken += n
		if n < len(batch) {
			break
		}
	}
	return taken
}

// fit tells how many frames n bytes are, and how many bytes of the next were begun.
func fit[F ~[]byte](frames []F, n int) (whole, begun int) {
	for whole < len(frames) && n >= len(frames[whole]) {
		n -= len(frames[whole])
		whole++
	}
	return whole, n
}

// mayBeginLocked tells whether a frame of this size may be begun now. If not, and the connection is
// not at its end, a Drained call is owed.
func (l line) mayBeginLocked(size int) bool {
	switch {
	case l.rec.phase != open || l.has(broken):
		return false
	case l.has(full | holding):
		l.refuseLocked()
		return false
	case size > smallFrame && l.engine.queued.Load() >= int64(l.engine.cfg.MaxQueued):
		// The socket may have room, and then epoll would tell of it again and again.
		l.count().refused.Add(1)
		if !l.has(waiting) {
			l.set(refused | waiting)
			l.engine.keeper.waiting(l.id)
		}
		return false
	}
	return true
}

// refuseLocked sees to it that Drained is called when the kernel has room.
func (l line) refuseLocked() {
	if l.has(broken) {
		return
	}
	l.count().refused.Add(1)
	l.set(refused)
	l.armLocked()
}

func (l line) armLocked() {
	if !l.has(armed) {
		l.set(armed)
		l.interestLocked()
	}
}

// writeLocked returns how many bytes the kernel took.
func (l line) writeLocked(p []byte) int {
	n, err := send(int(l.rec.fd), p)
	return l.wroteLocked(n, len(p), err)
}

func writeManyLocked[F ~[]byte](l line, batch []F) int {
	if len(batch) == 1 {
		return l.writeLocked(batch[0])
	}
	g := l.engine.gathers.Get().(*gather)
	defer l.engine.gathers.Put(g)
	n, size, err := gatherFrames(g, int(l.rec.fd), batch)
	return l.wroteLocked(n, size, err)
}

// wroteLocked draws the conclusions of a write.
func (l line) wroteLocked(n, size int, err error) int {
	switch {
	case err == nil:
	case errors.Is(err, unix.EAGAIN):
		n = 0
	default:
		l.breakLocked()
		return 0
	}
	l.count().bytesOut.Add(uint64(n))
	l.rec.unproven += int32(n)
	if l.rec.unproven > kernelShare {
		l.touchLocked(time.Now())
	}
	if n < size {
		l.set(full)
	}
	return n
}

// breakLocked takes note that nothing can be written any more. What the peer sent before is still
// read; the loop finds the end behind it.
func (l line) breakLocked() {
	l.set(broken)
	l.unset(refused | waiting | full)
	if b := l.busy(); b != nil {
		l.dropHeldLocked(b)
	}
	l.wakeLocked()
}

func (l line) touchLocked(now time.Time) { l.rec.lastByte, l.rec.unproven = now.UnixNano(), 0 }

// holdLocked keeps the rest of a frame that was begun: a part of the shared frame, not a copy.
func (l line) holdLocked(rest []byte) {
	b := l.makeBusy()
	b.rest = append(b.rest, rest)
	b.held += len(rest)
	l.engine.queued.Add(int64(len(rest)))
	l.set(holding)
	l.armLocked()
}

func (l line) dropHeldLocked(b *busy) {
	l.releaseLocked(b, b.held)
	b.rest, b.pong = nil, 0
	l.unset(holding)
}

// releaseLocked gives bytes back to the budget.
func (l line) releaseLocked(b *busy, n int) {
	b.held -= n
	after, most := l.engine.queued.Add(-int64(n)), int64(l.engine.cfg.MaxQueued)
	if after < most && after+int64(n) >= most {
		l.engine.keeper.wake()
	}
}

// insistLocked writes f now or holds it: it is not refused. It returns how much is written.
func (l line) insistLocked(f []byte) (n int) {
	if l.has(broken) {
		return 0
	}
	if !l.has(holding | full) {
		n = l.writeLocked(f)
	}
	if n < len(f) && !l.has(broken) {
		l.holdLocked(f[n:])
	}
	return n
}

func (l line) answerPing(payload []byte) {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	if l.rec.phase != open {
		return
	}
	pong := frame.AppendPong(nil, payload)
	if b := l.busy(); b != nil && b.pong > 0 {
		owed := &b.rest[b.pong-1]
		l.releaseLocked(b, len(*owed)-len(pong))
		*owed = pong
		return
	}
	if l.insistLocked(pong) == 0 && l.has(holding) {
		b := l.busy()
		b.pong = len(b.rest)
	}
}

// resumeLocked goes on writing, now that epoll has told of room. Only the loop may call it.
func (l line) resumeLocked(now time.Time) {
	if l.has(full) {
		l.touchLocked(now) // it had fallen behind, and has taken something
	}
	l.unset(full)
	if !l.has(holding) {
		return
	}
	b := l.busy()
	for len(b.rest) > 0 && !l.has(full|broken) {
		l.flushLocked(b)
	}
	if len(b.rest) == 0 {
		l.unset(holding)
		l.shutWritingLocked()
		l.tidyLocked(b)
	}
}

// flushLocked makes one write of what is held.
func (l line) flushLocked(b *busy) {
	batch := b.rest[:min(len(b.rest), gatherMost)]
	n := writeManyLocked(l, batch)
	if l.has(broken) {
		return
	}
	l.releaseLocked(b, n)
	whole, begun := fit(batch, n)
	clear(b.rest[:whole])
	b.rest, b.pong = b.rest[whole:], max(0, b.pong-whole)
	if begun > 0 {
		b.rest[0] = b.rest[0][begun:]
		if b.pong == 1 {
			b.pong = 0 // it cannot be replaced any more
		}
	}
}

// shutWritingLocked tells a peer that broke the protocol that nothing follows, and leaves its side
// open.
func (l line) shutWritingLocked() {
	if l.rec.phase == failing && !l.has(holding|broken) {
		_ = unix.Shutdown(int(l.rec.fd), unix.SHUT_WR)
	}
}
