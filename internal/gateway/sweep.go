package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// sweepEvery is how often the ids of live sessions are compared with the directory: the floor
	// under every feed of changes.
	sweepEvery = 5 * time.Second
	// sweepBudget bounds one sweep. What was not reached is asked about in the next.
	sweepBudget = 15 * time.Second
	// sweepPause lies between the questions of a sweep, unless they are so many that they would take
	// longer than sweepSpread.
	sweepPause  = 10 * time.Millisecond
	sweepSpread = time.Second
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
	g.sweepAccounts(ctx, together(g.hub.Accounts(), g.held.subjects(accountSubject)))
	g.sweepMachines(ctx, together(g.hub.Machines(), g.held.subjects(machineSubject)))
}

// together are ids that have a session and those that are held, each once. Few are ever held.
func together(live, held []string) []string {
	if len(held) == 0 {
		return live
	}
	all, _ := distinct(slices.Concat(live, held))
	return all
}

// sweepAccounts tells whether the directory answered for all of them.
func (g *Gateway) sweepAccounts(ctx context.Context, ids []string) (answered bool) {
	answered = true
	version := g.refused.version()
	comb(ctx, g.view.accountsByID, ids, func(id string, f finding[directory.AccountAnswer]) {
		s := subject{accountSubject, id}
		switch f.verdict {
		case directory.Unavailable:
			answered = false // and nothing is known
		case directory.Found:
			g.isThere(s, version)
			if g.hasOtherKey(id, f.answer.Account) {
				g.prover.add(s, false)
			}
		default:
			g.missing(s, f.verdict, f.credible)
		}
	})
	return answered
}

func (g *Gateway) hasOtherKey(account string, a directory.Account) bool {
	return slices.ContainsFunc(g.hub.Keys(account), func(key [32]byte) bool { return !a.Opens(key) })
}

func (g *Gateway) sweepMachines(ctx context.Context, ids []string) {
	version := g.refused.version()
	comb(ctx, g.view.machinesByID, ids, func(id string, f finding[directory.MachineAnswer]) {
		s := subject{machineSubject, id}
		switch f.verdict {
		case directory.Found:
			g.isThere(s, version)
		case directory.NotFound, directory.Deleted:
			g.missing(s, f.verdict, f.credible)
		}
	})
}

// comb asks about ids that are distinct, and hands on each finding as it comes, for all of them at once
// would be much. The questions come one after the other, with a pause in which messages get their
// turn: a directory in this process works on the same processors.
func comb[A any](ctx context.Context, a *asker[A], ids []string, hear func(id string, f finding[A])) {
	if !a.breaker.lets(time.Now()) {
		for _, id := range ids {
			hear(id, finding[A]{})
		}
		return
	}
	readings := make(chan reading[A])
	go a.readAll(ctx, ids, readings) // ends when the readings have been heard
	for r := range readings {
		for i, id := range r.ids {
			hear(id, r.finding(i))
		}
	}
}

// readAll asks about all ids, some questions at once where they take long, and closes readings.
func (a *asker[A]) readAll(ctx context.Context, ids []string, readings chan<- reading[A]) {
	defer close(readings)
	var work sync.WaitGroup
	defer work.Wait()
	places := make(chan struct{}, asking)
	const most = askMost - controlsPerID
	pace := time.NewTicker(min(sweepPause, sweepSpread/time.Duration(1+len(ids)/most)))
	defer pace.Stop()
	for batch := range batches(ids, most) {
		places <- struct{}{}
		work.Go(func() { // ends with its question, which ctx bounds
			readings <- a.read(ctx, batch)
			<-places
		})
		select {
		case <-pace.C:
		case <-ctx.Done():
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
