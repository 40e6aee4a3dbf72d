package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

const (
	// sweepEvery is how often the ids of live sessions are compared with the directory: the floor
	// under every feed of changes.
	sweepEvery = 5 * time.Second
	// sweepBudget bounds one sweep. What was not reached is asked about in the next.
	sweepBudget = 15 * time.Second
)

func (g *Gateway) sweepAlways(ctx context.Context) {
	for {
		t := time.NewTimer(sweepEvery - sweepEvery/10 + rand.N(sweepEvery/5))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-g.view.sweepWanted:
		case <-t.C:
		}
		t.Stop()
		g.sweep(ctx)
	}
}

// sweep compares the ids of all live sessions, and of what is held, with the directory. Those who
// were admitted while it was unavailable come first.
func (g *Gateway) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepBudget)
	defer cancel()
	unproven := g.view.takeUnproven()
	if !g.sweepAccounts(ctx, unproven) {
		g.view.admittedUnproven(unproven...)
		return
	}
	g.sweepAccounts(ctx, slices.Concat(g.hub.Accounts(), g.held.subjects(accountSubject)))
	g.sweepMachines(ctx, slices.Concat(g.hub.Machines(), g.held.subjects(machineSubject)))
}

// sweepAccounts tells whether the directory answered for all of them.
func (g *Gateway) sweepAccounts(ctx context.Context, ids []string) (answered bool) {
	answered = true
	version := g.refused.version()
	for i, f := range g.view.accountsByID.ask(ctx, ids) {
		switch f.verdict {
		case directory.Unavailable:
			answered = false // and nothing is known
		case directory.Found:
			g.isThere(subject{accountSubject, ids[i]}, version)
			if g.hasOtherKey(ids[i], f.answer.Account) {
				g.prover.add(subject{accountSubject, ids[i]}, false)
			}
		default:
			g.missing(subject{accountSubject, ids[i]}, f.verdict, f.credible)
		}
	}
	return answered
}

func (g *Gateway) hasOtherKey(account string, a directory.Account) bool {
	return slices.ContainsFunc(g.hub.OfAccount(account), func(s *session.Session) bool {
		return !a.Opens(s.Identity().Key)
	})
}

func (g *Gateway) sweepMachines(ctx context.Context, ids []string) {
	version := g.refused.version()
	for i, f := range g.view.machinesByID.ask(ctx, ids) {
		s := subject{machineSubject, ids[i]}
		switch f.verdict {
		case directory.Found:
			g.isThere(s, version)
		case directory.NotFound, directory.Deleted:
			g.missing(s, f.verdict, f.credible)
		}
	}
}

// missing acts on what a sweep did not find. A record of deletion is proof. A mere absence, which
// nobody reported, is believed only where the answer is credible; else the sessions are sent away to
// come back.
func (g *Gateway) missing(s subject, v directory.Verdict, credible bool) {
	switch {
	case g.held.isBraked(s):
		g.holdAll(s)
	case v == directory.Deleted, credible && g.isBelievable(s):
		if g.held.drop(s) {
			g.cut(s, time.Now()) // its sessions were sent away before
		} else {
			g.cutIfLive(s, time.Now())
		}
	default:
		g.log.Warn("absent from the directory without a report; sessions are sent away until there is proof", "kind", s.kind.String(), "id", s.id)
		if s.kind == accountSubject {
			g.held.add(s, whyUnproven, false)
		}
		g.holdAll(s)
	}
}

// holdAll sends the sessions of s away for now.
func (g *Gateway) holdAll(s subject) {
	sessions := g.sessionsOf(s)
	for _, one := range sessions {
		one.Cut()
	}
	g.prover.hold(sessions)
}
