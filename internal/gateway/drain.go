package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/wire"
)

const (
	// drainRate is how many machines a second are asked to come back: what one small box admits
	// with ease.
	drainRate = 2000
	// drainLeast spreads even a small fleet a little.
	drainLeast = time.Second
	drainMost  = 60 * time.Second
	// drainPoll is how often a drain looks whether everybody has gone.
	drainPoll = 20 * time.Millisecond
)

// Drain takes no more machines, tells those that are here to come back, each after its own delay,
// and waits until they have gone or ctx ends.
func (g *Gateway) Drain(ctx context.Context) {
	g.draining.Store(true)
	for {
		// Again and again: somebody may have been with the judge when the draining began.
		g.sendElsewhere()
		if g.hub.Len() == 0 || !sleep(ctx, drainPoll) {
			return
		}
	}
}

// sendElsewhere ends all sessions with a spread delay.
func (g *Gateway) sendElsewhere() {
	end := g.elsewhere()
	for _, s := range g.hub.All() {
		end(s)
	}
}

// elsewhere ends a session so that all that are here now come back one after the other.
func (g *Gateway) elsewhere() func(session.Session) {
	window := min(max(drainLeast, time.Duration(g.hub.Len())*time.Second/drainRate), drainMost)
	return func(s session.Session) {
		reason := wire.CloseReason(wire.CodeDrain, time.Millisecond+rand.N(window))
		s.End(nil, session.Ending{Code: wire.CloseRestart, Reason: reason})
	}
}
