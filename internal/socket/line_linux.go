package socket

import (
	"slices"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

// line is one connection of the epoll engine in the hands of a goroutine: a name for it, made for a
// call and kept by nobody.
type line struct {
	engine *Epoll
	id     ID
	rec    *record
}

func (l line) loop() *loop { return l.engine.loops[int(l.id.Slot())%len(l.engine.loops)] }

func (l line) count() *counterShard { return l.engine.counters.of(l.id) }

func (l line) has(m marks) bool { return l.rec.marks&m != 0 }
func (l line) set(m marks)      { l.rec.marks |= m }
func (l line) unset(m marks)    { l.rec.marks &^= m }

// isHereLocked tells whether the connection is still open: its slot may be another's.
func (l line) isHereLocked() bool {
	return l.rec.generation == uint32(l.id>>32) && l.rec.fd >= 0
}

// busy is nil for an idle connection.
func (l line) busy() *busy { return l.loop().side.get(l.id.Slot()) }

func (l line) makeBusy() *busy { return l.loop().side.make(l.id.Slot()) }

// watch lets the loop know the descriptor, and with it what has happened since it was adopted.
func (l line) watch() error {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.set(watched)
	return l.controlLocked(unix.EPOLL_CTL_ADD)
}

// interestLocked tells epoll what the connection waits for now.
func (l line) interestLocked() {
	if l.has(watched) {
		// It cannot fail: the descriptor is open and known.
		_ = l.controlLocked(unix.EPOLL_CTL_MOD)
	}
}

func (l line) controlLocked(op int) error {
	ev := unix.EpollEvent{Fd: int32(l.id.Slot()), Pad: int32(l.id >> 32)}
	if !l.has(muted) {
		ev.Events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	switch {
	case l.has(armed):
		ev.Events |= unix.EPOLLOUT
	case !l.has(muted):
		ev.Events |= unix.EPOLLET // who is read to the end need not be asked again whether there is more
	}
	return unix.EpollCtl(l.loop().fd, op, int(l.rec.fd), &ev)
}

// leaveLocked names how the connection ends, and has last and the close frame written behind what
// was taken before. It is closed when the peer has answered, and by the keeper after LingerTimeout.
// It tells whether the connection was open: the first call wins.
func (l line) leaveLocked(to phase, last Prepared, how Closure) bool {
	if l.rec.phase != open {
		return false
	}
	l.rec.phase = to
	l.unset(refused | waiting)
	l.makeBusy().how = how
	if last != nil {
		l.count().framesOut.Add(1)
	}
	l.insistLocked(frame.AppendClose(slices.Clone(last), how.Code, how.Reason)) // in one write
	l.shutWritingLocked()
	l.engine.keeper.closing(l.id, time.Now().Add(LingerTimeout))
	return true
}

// abortLocked ends the connection at once: the loop closes it. A name it already has stays.
func (l line) abortLocked(how Closure) {
	switch l.rec.phase {
	case ended:
		return
	case open:
		l.makeBusy().how = how
	}
	l.rec.phase = ended
	l.wakeLocked()
}

// wakeLocked has epoll report the connection's end, whatever it waited for.
func (l line) wakeLocked() { _ = unix.Shutdown(int(l.rec.fd), unix.SHUT_RDWR) }

// tidyLocked forgets what an idle connection does not need. Only the reading goroutine may call it.
func (l line) tidyLocked(b *busy) {
	if b.parser == nil && b.rest == nil && b.how == (Closure{}) {
		l.loop().side.drop(l.id.Slot())
	}
}

// mute ends the reading, and tells whether that ended the connection. Only the reading goroutine may
// call it.
func (l line) mute() bool {
	l.rec.mu.Lock()
	if l.rec.phase == open || !l.has(holding) {
		l.rec.mu.Unlock()
		l.finish(Closure{Code: frame.CodeAbnormal})
		return true
	}
	// What is held is still written, until the linger timeout.
	l.set(muted)
	l.interestLocked()
	l.rec.mu.Unlock()
	return false
}

// finish closes the descriptor and tells the handler; how counts only if the end has no name yet.
// Only the reading goroutine may call it, once.
func (l line) finish(how Closure) {
	l.rec.mu.Lock()
	if b := l.busy(); b != nil {
		if l.rec.phase != open {
			how = b.how
		}
		l.dropHeldLocked(b)
		l.loop().side.drop(l.id.Slot())
	}
	fd := int(l.rec.fd)
	l.rec.fd, l.rec.phase, l.rec.marks = -1, ended, 0
	l.rec.mu.Unlock()
	_ = unix.Close(fd)
	l.engine.handler.Closed(l.id, how)
	// Not before: the handler may use the slot until here.
	l.engine.records.remove(l.id.Slot())
	l.engine.live.Done()
}
