package socket

import (
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// keeper does what is due for connections that no event reports: one goroutine and one timer for all
// of them.
type keeper struct {
	// Fixed after construction.
	engine  *Epoll
	woken   chan struct{} // holds a token while there may be something to do
	stopped chan struct{}

	mu sync.Mutex
	// Guarded by mu. It is taken inside a record's lock.
	lingering []lingerer // in the order of their ends, because all are given the same time
	thirsty   []ID       // refused for want of budget
}

// lingerer is a connection that has said its last.
type lingerer struct {
	id    ID
	until time.Time
}

func newKeeper(e *Epoll) *keeper {
	return &keeper{engine: e, woken: make(chan struct{}, 1), stopped: make(chan struct{})}
}

func (k *keeper) wake() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}

func (k *keeper) stop() { close(k.stopped) }

// closing has the connection closed at a moment, if it is not by then.
func (k *keeper) closing(id ID, until time.Time) {
	k.mu.Lock()
	k.lingering = append(k.lingering, lingerer{id, until})
	first := len(k.lingering) == 1
	k.mu.Unlock()
	if first {
		k.wake()
	}
}

// waiting has the connection armed when the budget has room.
func (k *keeper) waiting(id ID) {
	k.mu.Lock()
	k.thirsty = append(k.thirsty, id)
	k.mu.Unlock()
	k.wake() // there may be room since the refusal
}

func (k *keeper) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next := k.expire(time.Now()); next > 0 {
			timer.Reset(next)
		}
		k.quench()
		select {
		case <-k.stopped:
			return
		case <-k.woken:
		case <-timer.C:
		}
	}
}

// expire ends those that have lingered for long enough, and returns how long the next may still; 0 if
// there is none.
func (k *keeper) expire(now time.Time) time.Duration {
	for {
		id, left := k.nextLingerer(now)
		if id == 0 {
			return left
		}
		if l, ok := k.engine.lock(id); ok {
			if l.has(holding) || hasUnsent(int(l.rec.fd)) {
				forget(int(l.rec.fd))
			}
			l.abortLocked(Closure{Code: frame.CodeAbnormal, Local: true})
			l.rec.mu.Unlock()
		}
	}
}

// nextLingerer takes out one whose time is up. If there is none, id is 0.
func (k *keeper) nextLingerer(now time.Time) (id ID, left time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lingering) == 0 {
		k.lingering = nil
		return 0, 0
	}
	first := k.lingering[0]
	if left := first.until.Sub(now); left > 0 {
		return 0, left
	}
	k.lingering = k.lingering[1:]
	return first.id, 0
}

// quench arms those that were refused for want of budget, once there is some again.
func (k *keeper) quench() {
	if k.engine.queued.Load() >= int64(k.engine.cfg.MaxQueued) {
		return
	}
	k.mu.Lock()
	thirsty := k.thirsty
	k.thirsty = nil
	k.mu.Unlock()
	for _, id := range thirsty {
		if l, ok := k.engine.lock(id); ok {
			if l.has(waiting) {
				l.unset(waiting)
				l.armLocked()
			}
			l.rec.mu.Unlock()
		}
	}
}
