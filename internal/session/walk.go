package session

import (
	"context"
	"math/rand/v2"
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
	slots [horizon][]*Session
}

func newWheel(start time.Time) *wheel { return &wheel{start: start} }

// at is the first tick that does not come before t.
func (w *wheel) at(t time.Time) tick {
	return tick(min((t.Sub(w.start)+tickLength-1)/tickLength, time.Duration(never)))
}

func (w *wheel) put(s *Session, due tick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	due = min(max(due, w.now+1), w.now+horizon-1)
	w.slots[due%horizon] = append(w.slots[due%horizon], s)
}

// turn moves to the next tick and takes out what is due.
func (w *wheel) turn() (now tick, due []*Session) {
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
	for _, s := range due {
		if next, ok := s.beat(now, p); ok {
			h.wheel.put(s, next)
		}
	}
}

// pings are the pings of one tick, prepared once.
type pings struct{ bare, positioned socket.Prepared }

func preparePings(finished uint64) pings {
	return pings{
		bare:       socket.Prepare(wire.MustEncode(wire.Ping{})),
		positioned: socket.Prepare(wire.MustEncode(wire.Ping{Seq: &finished})),
	}
}

// schedule puts a session that starts on the wheel. Its first ping comes at a random moment within
// the first heartbeat, so that a fleet that connected at once does not beat at once.
func (h *Hub) schedule(s *Session, refresh time.Time) {
	s.pingAt = h.wheel.at(time.Now().Add(rand.N(h.heartbeat)))
	s.freshAt = never
	if !refresh.IsZero() && h.refresh != nil {
		s.freshAt = h.wheel.at(refresh)
	}
	h.wheel.put(s, min(s.pingAt, s.freshAt, h.silentAt(s)))
}

func (h *Hub) silentAt(s *Session) tick {
	last := h.engine.LastByte(s.socket)
	if since := s.Since(); last.Before(since) {
		last = since
	}
	return h.wheel.at(last.Add(wire.Silence(h.heartbeat)))
}

// beat does what is due for the session and says when to look again; ok is false when it has ended.
func (s *Session) beat(now tick, p pings) (next tick, ok bool) {
	silentAt := s.hub.silentAt(s)
	if silentAt <= now {
		s.End(nil, Ending{wire.CloseSilent, string(wire.CodeSilent)})
	}
	if _, ended := s.Why(); ended {
		return 0, false
	}
	if s.pingAt <= now {
		s.ping(p)
		s.pingAt = now + tick(s.hub.heartbeat/tickLength)
	}
	if s.freshAt <= now {
		s.pushToken()
	}
	return min(s.pingAt, silentAt, s.freshAt), true
}

// ping tells a session that is not behind that everything up to the finished position has been
// handed over.
func (s *Session) ping(p pings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return
	}
	frame := p.positioned
	if s.bare || s.behind {
		frame = p.bare
	}
	s.hub.engine.Send(s.socket, frame)
	s.hub.pings.Add(1)
}

// pushToken pushes a fresh token; if the socket does not take it, the next tick tries again.
func (s *Session) pushToken() {
	frame, next := s.hub.refresh(s)
	if frame == nil || s.Send(frame) {
		s.freshAt = s.hub.wheel.at(next)
	}
}
