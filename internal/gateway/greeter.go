package gateway

import (
	"context"
	"log/slog"

	"github.com/fleetline/fleetline/internal/session"
)

// greetTogether is how many are greeted at once: more would save next to nothing, and the first of them
// wait for the last.
const greetTogether = 64

// greeter greets those of a batch who are admitted, many at once. It is one goroutine's.
type greeter struct {
	gateway   *Gateway
	admitted  []admission
	greetings []session.Greeting
}

// admission is an applicant that is admitted.
type admission struct {
	applicant *applicant
	who       session.Identity
	session   session.Session
}

// newGreeter makes a greeter for n applicants.
func newGreeter(g *Gateway, n int) *greeter {
	room := min(n, greetTogether)
	return &greeter{gateway: g, admitted: make([]admission, 0, room), greetings: make([]session.Greeting, 0, room)}
}

func (r *greeter) add(a admission, hello session.Greeting) {
	r.admitted = append(r.admitted, a)
	r.greetings = append(r.greetings, hello)
	if len(r.admitted) == greetTogether {
		r.flush()
	}
}

// flush is called at the end, too.
func (r *greeter) flush() {
	if len(r.admitted) == 0 {
		return
	}
	r.gateway.hub.StartAll(r.greetings)
	for _, a := range r.admitted {
		r.gateway.greeted(a)
	}
	r.admitted, r.greetings = r.admitted[:0], r.greetings[:0]
}

// greeted notes that a machine is there.
func (g *Gateway) greeted(a admission) {
	g.compareBoots(a.applicant, a.session, a.who)
	g.news(a.who.Machine, nil)
	g.metrics.admitted.Inc()
	g.log.LogAttrs(context.Background(), slog.LevelInfo, "machine connected", slog.String("machine", a.who.Machine),
		slog.String("account", a.who.Account), slog.String("session", a.session.ID()),
		slog.String("addr", a.applicant.conn.peer.Addr.String()), slog.Bool("token", a.applicant.hasToken()))
}
