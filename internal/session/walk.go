package session

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// tick is a moment in tenths of a second since the hub started.
type tick int32 // enough for six years

const (
	tickLength = 100 * time.Millisecond
	// horizon is how far the wheel reaches, in ticks. What is due later is looked at once on the way.
	horizon = 1024
	never   = tick(1<<31 - 1)
)

// wheel holds each session in the slot of the tick at which it must be looked at next, so that one
// ticker serves all sessions and a quiet one is looked at once a heartbeat.
type wheel struct {
	// Fixed after construction.
	start time.Time

	mu sync.Mutex
	// Guarded by mu.
	now   tick
	slots [horizon][]socket.ID
}

func newWheel(start time.Time) *wheel { return &wheel{start: start} }

// at is the first tick that does not come before t.
func (w *wheel) at(t time.Time) tick {
	return tick(min((t.Sub(w.start)+tickLength-1)/tickLength, time.Duration(never)))
}

func (w *wheel) put(id socket.ID, due tick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	due = min(max(due, w.now+1), w.now+horizon-1)
	w.slots[due%horizon] = append(w.slots[due%horizon], id)
}

// turn moves to the next tick and takes out what is due.
func (w *wheel) turn() (now tick, due []socket.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	due = w.slots[w.now%horizon]
	w.slots[w.now%horizon] = nil
	return w.now, due
}

func (h *Hub) walk(ctx context.Context) {
	ticker := time.NewTicker(tickLength)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			// A ticker drops ticks that come too fast for a busy machine; the wheel must not.
			for h.wheel.isBefore(now) {
				h.step()
			}
		}
	}
}

func (w *wheel) isBefore(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return tick(t.Sub(w.start)/tickLength) > w.now
}

func (h *Hub) step() {
	now, due := h.wheel.turn()
	if len(due) == 0 {
		return
	}
	p := preparePings(h.finished.Load())
	v := newSalvo(h, nil)
	var found [salvoShots]Session
	for some := range slices.Chunk(due, salvoShots) {
		// All are found before the first is locked: so their records come from memory at the same time.
		for _, s := range h.everyone.appendOf(found[:0], some) {
			if next, ok := s.beat(now, p, v); ok {
				h.wheel.put(s.id, next)
			}
		}
	}
	v.fire()
}

// pings are the pings of one tick, prepared once.
type pings struct{ bare, positioned socket.Burst }

func preparePings(finished uint64) pings {
	return pings{
		bare:       socket.NewBurst(socket.Prepare(wire.MustEncode(wire.Ping{}))),
		positioned: socket.NewBurst(socket.Prepare(wire.MustEncode(wire.Ping{Seq: &finished}))),
	}
}

// schedule puts a session that starts on the wheel. Its first ping comes at a random moment within
// the first heartbeat, so that a fleet that connected at once does not beat at once.
func (l locked) schedule(refresh time.Time) {
	wheel := l.hub.wheel
	l.rec.pingAt = wheel.at(time.Now().Add(rand.N(l.hub.heartbeat)))
	if !refresh.IsZero() && l.hub.refresh != nil {
		l.rec.freshAt = wheel.at(refresh)
	}
	wheel.put(l.id, min(l.rec.pingAt, l.rec.freshAt, l.silentAt()))
}

func (l locked) silentAt() tick {
	last := l.hub.engine.LastByte(l.id)
	if since := l.since(); last.Before(since) {
		last = since
	}
	return l.hub.wheel.at(last.Add(wire.Silence(l.hub.heartbeat)))
}

// beat does what is due for the session and says when to look again; ok is false when it has ended.
func (s Session) beat(now tick, p pings, v *salvo) (next tick, ok bool) {
	next, freshAt, ok := s.pingOrEnd(now, p, v)
	if ok && freshAt <= now {
		v.fire() // it may hold this session
		freshAt = s.pushToken(now)
	}
	return min(next, freshAt), ok
}

func (s Session) pingOrEnd(now tick, p pings, v *salvo) (next, freshAt tick, ok bool) {
	l, ok := v.lock(s)
	if !ok {
		return 0, 0, false
	}
	silentAt := l.silentAt()
	if silentAt <= now {
		l.end(nil, Ending{wire.CloseSilent, string(wire.CodeSilent)})
	}
	if l.has(ended) {
		l.unlock()
		return 0, 0, false
	}
	isDue := l.rec.pingAt <= now
	if isDue {
		l.rec.pingAt = now + tick(l.hub.heartbeat/tickLength)
	}
	next, freshAt = min(l.rec.pingAt, silentAt), l.rec.freshAt
	if !isDue || l.has(cut) {
		l.unlock()
		return next, freshAt, true
	}
	l.hub.pings.Add(1)
	v.load(l, p.of(l))
	return next, freshAt, true
}

// of is the session's ping. One that is not behind is told that everything up to the finished position
// has been handed over.
func (p pings) of(l locked) socket.Burst {
	if l.isBare() || l.has(behind) {
		return p.bare
	}
	return p.positioned
}

// pushToken pushes a fresh token and says when the next is due; if the socket does not take it, the
// next tick tries again.
func (s Session) pushToken(now tick) tick {
	frame, next := s.hub.refresh(s)
	l, ok := s.lock()
	if !ok {
		return now
	}
	defer l.unlock()
	if frame == nil || l.send(frame) {
		l.rec.freshAt = l.hub.wheel.at(next)
	}
	return l.rec.freshAt
}
