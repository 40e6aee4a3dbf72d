package socket

import (
	"log/slog"
	"sync"

	"github.com/fleetline/fleetline/internal/ring"
	"golang.org/x/sys/unix"
)

// volley is a ring with the connections that its writes are for.
type volley struct {
	*ring.Ring
	aims [ring.Size]aim
}

// aim is a connection that is locked until the result of its write is known: only the lock keeps the
// descriptor from being closed, and its number from being another's.
type aim struct {
	line
	shot *Shot
}

// SendAll implements Volley.
func (e *Epoll) SendAll(shots []Shot) {
	v := e.volleys.take()
	for len(shots) > 0 {
		done := 0
		if v != nil {
			done = v.aimAt(e, shots)
			v = e.volleys.check(v, v.send())
		}
		if done == 0 {
			// This one cannot go with others, or must be waited for.
			shots[0].Taken = e.SendMany(shots[0].ID, shots[0].Burst.Frames)
			done = 1
		}
		shots = shots[done:]
	}
	e.volleys.put(v)
}

// aimAt loads the first of shots, up to one that must go by itself, and returns how many those are.
// It does not wait for a lock, because it holds others. Whose record is locked may be among those
// before: what comes behind must not overtake it.
func (v *volley) aimAt(e *Epoll, shots []Shot) int {
	for i := range shots {
		s := &shots[i]
		// What is not short is begun by what those before it have left of the budget.
		if v.Loaded() == ring.Size || s.ID.Slot() >= portableSlots || !s.Burst.IsShort() {
			return i
		}
		s.Taken = 0
		l := e.line(s.ID)
		if l.rec == nil {
			continue
		}
		if !l.rec.mu.TryLock() {
			return i
		}
		if !l.isHereLocked() || !l.mayBeginLocked(len(s.Burst.joined)) {
			l.rec.mu.Unlock()
			continue
		}
		v.aims[v.Loaded()] = aim{l, s}
		v.Load(ring.Send, int(l.rec.fd), s.Burst.joined)
	}
	return len(shots)
}

// send makes the writes that are loaded, and unlocks their connections.
func (v *volley) send() error {
	aims := v.aims[:v.Loaded()]
	defer clear(aims)
	err := v.Fire()
	for i, a := range aims {
		a.shot.Taken = a.sentLocked(a.shot.Burst.Frames, a.landedLocked(v.Result(i)))
		a.rec.mu.Unlock()
	}
	return err
}

// landedLocked draws the conclusions of a write, and returns how many bytes the kernel took.
func (a aim) landedLocked(result int32) int {
	size := len(a.shot.Burst.joined)
	switch {
	case result >= 0:
		return a.wroteLocked(int(result), size, nil)
	case result == -int32(unix.EAGAIN):
		return a.wroteLocked(0, size, unix.EAGAIN)
	case result == ring.NotCertain:
		return a.wroteLocked(0, size, ring.ErrLost) // nothing can follow what may be half a frame
	}
	// Nothing was written. Whatever the ring minds, the plain call has the last word.
	return a.writeLocked(a.shot.Burst.joined)
}

// volleys are the rings of an engine, as many as can be used at once.
type volleys struct {
	// Fixed after construction.
	log *slog.Logger

	mu sync.Mutex
	// Guarded by mu.
	idle   []*volley
	spoilt []*volley // kept, because the kernel may not be done with them
	over   bool
}

// open makes n rings, or none if the system does not give them.
func (vs *volleys) open(n int) {
	for range n {
		r, err := ring.New()
		if err != nil {
			vs.log.Debug("no io_uring: frames are written one by one", slog.Any("error", err))
			return
		}
		vs.idle = append(vs.idle, &volley{Ring: r})
	}
}

// take returns nil if none is free.
func (vs *volleys) take() *volley {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if len(vs.idle) == 0 {
		return nil
	}
	v := vs.idle[len(vs.idle)-1]
	vs.idle = vs.idle[:len(vs.idle)-1]
	return v
}

func (vs *volleys) put(v *volley) {
	if v == nil {
		return
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.over {
		v.Close()
		return
	}
	vs.idle = append(vs.idle, v)
}

// check returns v, or nil if it misbehaved: then all are given up, for they are of one kernel.
func (vs *volleys) check(v *volley, err error) *volley {
	if err == nil {
		return v
	}
	v.Close()
	vs.mu.Lock()
	first := len(vs.spoilt) == 0
	vs.spoilt = append(vs.spoilt, v)
	vs.mu.Unlock()
	vs.close()
	if first {
		vs.log.Warn("io_uring has failed: from now on frames are written one by one", slog.Any("error", err))
	}
	return nil
}

// close closes those that are not in use, and has the others closed when they are put back.
func (vs *volleys) close() {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.over = true
	for _, v := range vs.idle {
		v.Close()
	}
	vs.idle = nil
}
