package socket

import (
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

const (
	// loopBuffer is what one read takes. There is one for each loop, not for each connection.
	loopBuffer = 64 << 10
	loopEvents = 128
	// gathering is for how long a loop lets be when some have said something together: then more are about
	// to, and to be woken for each of them costs more than to serve them. Who speaks alone does not wait.
	gathering = 2 * time.Millisecond
)

// loop serves its share of the connections in one goroutine, which alone reads and closes them.
type loop struct {
	// Fixed after construction.
	engine *Epoll
	nest
	side sideMap

	// Owned by the loop's goroutine.
	gulp     *gulp // nil: sockets are read one by one
	spoilt   *gulp // one that was given up
	said     int   // how many spoke in this turn and go on; who is read to the end from an earlier one is not counted
	parser   frame.Parser
	events   [loopEvents]unix.EpollEvent
	readable [loopEvents]line
	left     []line // those that may have more, which epoll does not tell of again
	spare    []line
	buf      [loopBuffer]byte
}

func newLoop(e *Epoll) (*loop, error) {
	n, err := newNest()
	if err != nil {
		return nil, err
	}
	lp := &loop{engine: e, nest: n}
	if !e.cfg.OneByOne {
		lp.gulp = newGulp()
	}
	lp.side.bySlot = make(map[uint32]*busy)
	return lp, nil
}

// run serves until stop.
func (lp *loop) run() {
	err := lp.nest.serve(func() (done bool) {
		for lp.serve() >= fewestTogether {
			time.Sleep(gathering)
		}
		return false
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		panic("socket: waiting for epoll: " + err.Error())
	}
}

// serve handles all that has happened, and returns how many connections spoke together and go on; none if
// somebody was written to, who is not to wait.
func (lp *loop) serve() (together int) {
	isWritten := false
	for {
		t := lp.turn()
		together = max(together, lp.said)
		isWritten = isWritten || t.isWritten
		switch {
		case !t.goesOn && isWritten:
			return 0
		case !t.goesOn:
			return together
		}
		runtime.Gosched() // its calls are long, and the runtime does not know of them
	}
}

func (lp *loop) close() {
	lp.nest.close()
	if lp.gulp != nil {
		lp.gulp.Close()
	}
}

// stop ends run, once the connections are closed.
func (lp *loop) stop() { _ = lp.file.SetReadDeadline(time.Unix(1, 0)) }

// turn is what a loop did when it looked once.
type turn struct {
	isWritten bool // somebody had room for more
	goesOn    bool // there may be more that nobody tells of: what is new wakes the loop
}

func (lp *loop) turn() (t turn) {
	now := time.Now()
	lp.readLeft(now)
	lp.said = 0
	n, err := look(lp.fd, lp.events[:])
	if errors.Is(err, unix.EINTR) {
		t.goesOn = true
		return t
	}
	readable := lp.readable[:0]
	for i := range n {
		t.isWritten = t.isWritten || lp.events[i].Events&unix.EPOLLOUT != 0
		switch l, ok := lp.handle(&lp.events[i], now); {
		case !ok:
		case lp.events[i].Events == unix.EPOLLIN:
			readable = append(readable, l)
		default:
			lp.leave(l) // its end may lie behind what it has sent
		}
	}
	lp.readAll(readable, now)
	t.goesOn = n == loopEvents || t.isWritten || len(lp.left) > 0
	return t
}

// handle serves one connection, and tells whether it is to be read. An event may be older than the
// connection that has the slot now.
func (lp *loop) handle(ev *unix.EpollEvent, now time.Time) (l line, read bool) {
	l, ok := lp.engine.lock(ID(uint32(ev.Pad))<<32 | ID(uint32(ev.Fd)))
	if !ok {
		return l, false
	}
	drained := false
	if ev.Events&unix.EPOLLOUT != 0 {
		drained = l.roomLocked(now)
	}
	over := l.isOverLocked(ev.Events)
	l.rec.mu.Unlock()
	switch {
	case over:
		l.finish(Closure{Code: frame.CodeAbnormal})
		return l, false
	case drained:
		l.engine.handler.Drained(l.id)
		l.disarm()
	}
	return l, ev.Events&^unix.EPOLLOUT != 0
}

// roomLocked goes on writing, and tells whether Drained must be called.
func (l line) roomLocked(now time.Time) (drained bool) {
	l.resumeLocked(now)
	if l.has(refused) && !l.has(full|holding|waiting) {
		l.unset(refused)
		return true
	}
	l.disarmLocked()
	return false
}

func (l line) disarm() {
	l.rec.mu.Lock()
	defer l.rec.mu.Unlock()
	l.disarmLocked()
}

// disarmLocked ends the waiting for room if nothing needs it. A peer that stays behind is armed once. Who
// was refused during a Drained call for want of budget may have been armed meanwhile, and goes on waiting.
func (l line) disarmLocked() {
	owed := l.has(refused) && !l.has(waiting)
	if l.has(armed) && !l.has(full|holding) && !owed {
		l.unset(armed)
		l.interestLocked()
	}
}

// isOverLocked tells that nothing is left to wait for.
func (l line) isOverLocked(events uint32) bool {
	if l.rec.phase == ended {
		return true
	}
	return l.has(muted) && (!l.has(holding) || events&(unix.EPOLLHUP|unix.EPOLLERR) != 0)
}
