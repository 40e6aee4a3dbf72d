package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/wire"
)

const (
	// proofTimeout is how long a cut session waits for a read that proves the deletion.
	proofTimeout = 2 * time.Second
	// proofPause is the wait between two reads that did not answer.
	proofPause = 100 * time.Millisecond
)

// prover reads the primary about what was reported, and speaks when the answer is there.
type prover struct {
	g    *Gateway
	wake chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	pending map[subject]*doubt
}

// doubt is one thing that waits for proof.
type doubt struct {
	deadline time.Time
	// gone: a deletion was reported, its sessions are cut. Otherwise something changed.
	gone bool
	// reported is when the gateway heard of it.
	reported time.Time
	// unread: something was reported that no read which has begun can know of.
	unread bool
}

func newProver(g *Gateway) *prover {
	return &prover{g: g, wake: make(chan struct{}, 1), pending: make(map[subject]*doubt)}
}

// add asks for proof. Asking twice is nothing; a reported deletion outweighs a change.
func (p *prover) add(s subject, gone bool) {
	p.mu.Lock()
	now := time.Now()
	d := p.pending[s]
	if d == nil {
		d = &doubt{deadline: now.Add(proofTimeout), reported: now}
		p.pending[s] = d
	}
	d.gone, d.unread = d.gone || gone, true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// suspect cuts a session that was judged while something about its machine, account or key came in,
// and has it judged again. What was reported of them is in doubt already, and weighs more.
func (p *prover) suspect(s session.Session, who session.Identity) {
	s.Cut()
	p.add(subject{machineSubject, who.Machine}, false)
	p.add(subject{accountSubject, who.Account}, false)
}

func (p *prover) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for p.round(ctx) > 0 && p.pause(ctx) {
		}
	}
}

// pause waits before the next read, but not when there is a new doubt: it may be settled at once.
func (p *prover) pause(ctx context.Context) bool {
	t := time.NewTimer(proofPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-p.wake:
	case <-t.C:
	}
	return true
}

// round reads once about everything in doubt and returns how much still is. It ends with the first
// deadline: a read that hangs must not make others wait longer than they may.
func (p *prover) round(ctx context.Context) int {
	machines, accounts, deadline := p.doubts()
	version := p.g.refused.version()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var reads sync.WaitGroup
	reads.Go(func() { // ends with ctx
		for i, f := range p.g.view.machinesByID.insist(ctx, machines) {
			p.settleMachine(machines[i], f.verdict)
		}
	})
	for i, f := range p.g.view.accountsByID.insist(ctx, accounts) {
		if f.verdict == directory.Found {
			p.g.isThere(subject{accountSubject, accounts[i]}, version)
		}
		p.settleAccount(accounts[i], f.answer)
	}
	reads.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending)
}

func (p *prover) doubts() (machines, accounts []string, deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	deadline = time.Now().Add(proofTimeout)
	for s, d := range p.pending {
		d.unread = false
		if d.deadline.Before(deadline) {
			deadline = d.deadline
		}
		if s.kind == machineSubject {
			machines = append(machines, s.id)
		} else {
			accounts = append(accounts, s.id)
		}
	}
	return machines, accounts, deadline
}

// close takes a doubt out; ok is false while it must wait for another read.
func (p *prover) close(s subject, v directory.Verdict) (d doubt, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.pending[s]
	if found == nil {
		return doubt{}, false
	}
	isLate := !time.Now().Before(found.deadline)
	if v == directory.Unavailable && !isLate || found.unread && (v != directory.Unavailable || !isLate) {
		return doubt{}, false
	}
	delete(p.pending, s)
	return *found, true
}

func (p *prover) settleMachine(id string, v directory.Verdict) {
	s := subject{machineSubject, id}
	d, ok := p.close(s, v)
	if !ok {
		return
	}
	if p.isProof(s, v, d) {
		p.g.tellDeleted(s, p.g.hub.OfMachine(id), d.reported)
		return
	}
	p.hold(p.g.hub.OfMachine(id))
}

// isProof tells whether what a read says of s proves that it was deleted.
func (p *prover) isProof(s subject, v directory.Verdict, d doubt) bool {
	return !p.g.held.isBraked(s) && (v == directory.Deleted || v == directory.NotFound && d.gone)
}

func (p *prover) settleAccount(id string, a directory.AccountAnswer) {
	s := subject{accountSubject, id}
	d, ok := p.close(s, a.Verdict)
	if !ok {
		return
	}
	sessions := p.g.hub.OfAccount(id)
	switch {
	case p.isProof(s, a.Verdict, d):
		p.g.tellDeleted(s, sessions, d.reported)
	case a.Verdict == directory.Found:
		p.hold(p.endRotated(sessions, a.Account))
	default:
		p.hold(sessions)
	}
}

// tellDeleted says goodbye for good, and has it known everywhere: whatever was issued before the
// deletion was reported is refused from now on.
func (g *Gateway) tellDeleted(s subject, sessions []session.Session, reported time.Time) {
	g.refused.report(s, reported, g.revoker.until(reported))
	g.held.drop(s)
	here := identitiesOf(sessions) // before they are ended, and leave
	for _, one := range sessions {
		g.end(one, goodbye{code: wire.CodeMachineDeleted})
	}
	g.metrics.deletion.Observe(time.Since(reported).Seconds())
	g.revoker.add(s, reported)
	g.tellDeletion(s, here, reported)
	g.log.Info("deleted", "kind", s.kind.String(), "id", s.id, "sessions", len(sessions))
}

func identitiesOf(sessions []session.Session) (here []session.Identity) {
	for _, one := range sessions {
		if who, ok := one.Identity(); ok {
			here = append(here, who)
		}
	}
	return here
}

// endRotated ends the sessions that were opened with a key the account no longer has, and returns
// the others.
func (p *prover) endRotated(sessions []session.Session, account directory.Account) (others []session.Session) {
	for _, one := range sessions {
		st, here := one.State()
		if !here || st.Ended {
			continue
		}
		key := directory.Digest(st.Key)
		if account.Opens(key) {
			others = append(others, one)
			continue
		}
		s := keyOf(account.ID, key)
		now := time.Now()
		p.g.refused.add(s, now, p.g.revoker.until(now))
		p.g.end(one, goodbye{code: wire.CodeBadKey})
		p.g.revoker.add(s, now)
	}
	return others
}

// hold sends those that were cut without proof away for now: they keep their key and come back.
func (p *prover) hold(sessions []session.Session) {
	for _, one := range sessions {
		if one.IsCut() {
			p.g.end(one, goodbye{code: wire.CodeHeld, wait: retryAfter()})
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
