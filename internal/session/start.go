package session

import (
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// Greeting is how a session begins.
type Greeting struct {
	Session Session
	// Hello is the first frame.
	Hello socket.Prepared
	// After is the position from which the session is brought to the head.
	After uint64
	// Refresh is when a fresh token is due; zero means never.
	Refresh time.Time
}

// Start hands over hello, the first frame, and brings the session to the head from position after.
// A fresh token is due at refresh; zero means never.
func (s Session) Start(hello socket.Prepared, after uint64, refresh time.Time) {
	l, ok := s.lock()
	if !ok {
		return
	}
	defer l.unlock()
	if l.begin(after, refresh) {
		l.hub.engine.Send(l.id, hello)
		l.advance()
	}
}

// StartAll starts many sessions, each as Start does. They are brought to the head one by one, when none of
// them is locked any more.
func (h *Hub) StartAll(greetings []Greeting) {
	if len(greetings) == 1 {
		g := greetings[0]
		g.Session.Start(g.Hello, g.After, g.Refresh)
		return
	}
	v := newSalvo(h, nil)
	for _, g := range greetings {
		l, ok := v.lock(g.Session)
		switch {
		case !ok:
		case l.begin(g.After, g.Refresh):
			v.load(l, socket.NewBurst(g.Hello))
		default:
			l.unlock()
		}
	}
	v.fire()
	for _, g := range greetings {
		g.Session.Drained()
	}
}

// begin tells whether the session may be greeted: the first time, unless it was cut.
func (l locked) begin(after uint64, refresh time.Time) bool {
	if l.has(started | cut) {
		return false
	}
	l.set(started)
	l.rec.pos = after
	l.schedule(refresh)
	return true
}
