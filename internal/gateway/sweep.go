package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// sweepEvery is how often the ids of live sessions are compared with the directory: the floor
	// under every feed of changes.
	sweepEvery = 5 * time.Second
	// sweepBatch is the most ids of one question.
	sweepBatch = 1000
)

// sweepNow asks for a sweep at once; one that is asked for already is enough.
func (g *Gateway) sweepNow() {
	select {
	case g.sweepWanted <- struct{}{}:
	default:
	}
}

func (g *Gateway) sweepAlways(ctx context.Context) {
	for {
		t := time.NewTimer(sweepEvery - sweepEvery/10 + rand.N(sweepEvery/5))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-g.sweepWanted:
		case <-t.C:
		}
		t.Stop()
		g.sweep(ctx)
	}
}

// sweep compares the ids of all live sessions with the directory.
func (g *Gateway) sweep(ctx context.Context) {
	for ids := range batches(g.hub.Accounts()) {
		g.sweepAccounts(ctx, ids)
	}
	for ids := range batches(g.hub.Machines()) {
		g.sweepMachines(ctx, ids)
	}
}

func batches(ids []string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(ids) > 0 {
			n := min(len(ids), sweepBatch)
			if !yield(ids[:n]) {
				return
			}
			ids = ids[n:]
		}
	}
}

func (g *Gateway) sweepAccounts(ctx context.Context, ids []string) {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	answers := g.accounts.Check(ctx, ids)
	verdicts := make([]directory.Verdict, len(answers))
	for i, a := range answers {
		verdicts[i] = a.Verdict
		if a.Verdict == directory.Found && g.hasOtherKey(ids[i], a.Account) {
			g.prover.add(subject{accountSubject, ids[i]}, false)
		}
	}
	g.actOnAbsence(accountSubject, ids, verdicts)
}

func (g *Gateway) hasOtherKey(account string, a directory.Account) bool {
	for _, s := range g.hub.OfAccount(account) {
		if !a.Opens(s.Identity().Key) {
			return true
		}
	}
	return false
}

func (g *Gateway) sweepMachines(ctx context.Context, ids []string) {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	answers := g.machines.Check(ctx, ids)
	verdicts := make([]directory.Verdict, len(answers))
	for i, a := range answers {
		verdicts[i] = a.Verdict
	}
	g.actOnAbsence(machineSubject, ids, verdicts)
}

// actOnAbsence cuts what a sweep did not find. A record of deletion is proof. A mere absence, which
// nobody reported, is believed only where the same answer is credible; else the sessions are sent
// away to come back.
func (g *Gateway) actOnAbsence(kind subjectKind, ids []string, verdicts []directory.Verdict) {
	believed := isCredible(verdicts)
	for i, v := range verdicts {
		s := subject{kind, ids[i]}
		switch {
		case v == directory.Deleted, v == directory.NotFound && believed:
			g.cutIfLive(s, time.Now())
		case v == directory.NotFound:
			g.log.Warn("absent from the directory without a report; sessions are sent away until there is proof", "kind", kind.String(), "id", s.id)
			g.holdAll(s)
		}
	}
}

// isCredible tells whether an answer's absences can be believed: it found another row that must be
// there, and misses at most a fifth of what was asked.
func isCredible(verdicts []directory.Verdict) bool {
	var found, absent int
	for _, v := range verdicts {
		switch v {
		case directory.Found:
			found++
		case directory.NotFound:
			absent++
		}
	}
	return found > 0 && absent*5 <= len(verdicts)
}

func (g *Gateway) holdAll(s subject) {
	sessions := g.sessionsOf(s)
	for _, one := range sessions {
		one.Cut()
	}
	g.prover.hold(sessions)
}
