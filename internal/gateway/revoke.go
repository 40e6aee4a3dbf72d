package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

func (k subjectKind) revocation() broker.RevocationKind {
	return [...]broker.RevocationKind{broker.RevokedMachine, broker.RevokedAccount, broker.RevokedKey}[k]
}

func (k subjectKind) String() string { return string(k.revocation()) }

func keyOf(account string, d directory.Digest) subject {
	return subject{keySubject, account + "/" + base64.RawURLEncoding.EncodeToString(d[:])}
}

func subjectOf(r broker.Revocation) (subject, bool) {
	for _, k := range []subjectKind{machineSubject, accountSubject, keySubject} {
		if r.Kind == k.revocation() {
			return subject{k, r.ID}, true
		}
	}
	return subject{}, false // of a newer node
}

// loadRevocations reads all revocations that are in force, before anybody is admitted.
func (g *Gateway) loadRevocations(ctx context.Context) error {
	all, err := g.revoker.store.Revocations(ctx)
	if err != nil {
		return fmt.Errorf("reading the revocations in force: %w", err)
	}
	for _, r := range all {
		if s, ok := subjectOf(r); ok {
			g.refused.report(s, r.At, r.Until)
		}
	}
	return nil
}

func (g *Gateway) watchAccounts(ctx context.Context) error {
	return g.view.accounts.Watch(ctx, func(e directory.Event) { g.hear(e, accountSubject) })
}

func (g *Gateway) watchMachines(ctx context.Context) error {
	return g.view.machines.Watch(ctx, func(e directory.Event) { g.hear(e, machineSubject) })
}

// hear turns a report of the directory into cut sessions and doubts.
func (g *Gateway) hear(e directory.Event, kind subjectKind) {
	s := subject{kind, e.ID}
	switch e.Kind {
	case directory.Live:
		if g.view.setFeed(kind, true, "") {
			g.log.Info("directory changes flow", "kind", kind.String())
		}
		g.view.sweepNow()
	case directory.Lost:
		if g.view.setFeed(kind, false, fmt.Sprint(e.Err)) {
			g.log.Warn("directory changes do not flow; it is polled meanwhile", "kind", kind.String(), "err", e.Err)
		}
	case directory.Gone:
		g.hearDeletion(s, e)
	case directory.Changed:
		// Noted first: whoever is being judged is judged again when it has entered.
		g.refused.note(s, g.revoker.until(time.Now()))
		if len(g.sessionsOf(s)) > 0 {
			g.prover.add(s, false)
		}
	}
}

// hearDeletion cuts what was deleted, and says so if the report is proof in itself. Too many at once
// that nobody asked this installation for look like a mistake: then nobody is told before an operator
// confirms.
func (g *Gateway) hearDeletion(s subject, e directory.Event) {
	now := time.Now()
	switch {
	case e.Proven && !g.held.isBraked(s):
		g.refused.report(s, now, g.revoker.until(now)) // before the hub is searched
		g.tellDeleted(s, g.sessionsOf(s), now)
	case e.Asked || !g.held.brake.stops(now, g.hub.Len()):
		g.cut(s, now)
	default:
		g.held.add(s, whyBraked, true)
		g.refused.note(s, g.revoker.until(now))
		g.holdAll(s)
	}
}

// whyBraked is for people.
const whyBraked = "too many rows were deleted within a second: it may be a mistake"

// cut refuses whatever was issued before at, stops the subject's sessions and asks for proof: the
// refused set first, so that a session entering the hub meanwhile finds it there.
func (g *Gateway) cut(s subject, at time.Time) {
	g.refused.report(s, at, g.revoker.until(at))
	for _, one := range g.sessionsOf(s) {
		one.Cut()
	}
	g.prover.add(s, true)
}

func (g *Gateway) sessionsOf(s subject) []session.Session {
	if s.kind == accountSubject {
		return g.hub.OfAccount(s.id)
	}
	return g.hub.OfMachine(s.id)
}

// hearRevocation takes a revocation from the log. This node may have made it itself; then its
// sessions are cut already, and doing it all again would only make another revocation.
func (g *Gateway) hearRevocation(r broker.Revocation) {
	s, ok := subjectOf(r)
	if !ok {
		return
	}
	g.refused.report(s, r.At, r.Until)
	if s.kind == keySubject {
		account, _, _ := strings.Cut(s.id, "/")
		g.prover.add(subject{accountSubject, account}, false)
		return
	}
	g.cutIfLive(s, r.At)
}

// cutIfLive cuts what was not reported here but found to be deleted, unless that has been done.
func (g *Gateway) cutIfLive(s subject, at time.Time) {
	if slices.ContainsFunc(g.sessionsOf(s), func(one session.Session) bool { return !one.IsCut() }) {
		g.cut(s, at)
	}
}

// revoker stores revocations in the log, and goes on trying when the log does not take them.
type revoker struct {
	// Fixed after construction.
	store Revocations
	// bury deletes the machines of an account that was deleted elsewhere.
	bury func(ctx context.Context, account string) error
	log  *slog.Logger
	life time.Duration // of a token
	wake chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	todo map[subject]time.Time
}

const (
	// revokePause is the wait before a failed write is tried again.
	revokePause = time.Second
	buryTimeout = 10 * time.Second
)

func newRevoker(store Revocations, bury func(context.Context, string) error, life time.Duration, log *slog.Logger) *revoker {
	return &revoker{store: store, bury: bury, log: log, life: life, wake: make(chan struct{}, 1), todo: make(map[subject]time.Time)}
}

// until is when a revocation made at t has outlived every token it refuses.
func (r *revoker) until(t time.Time) time.Time { return t.Add(r.life + 5*time.Minute) }

func (r *revoker) add(s subject, at time.Time) {
	r.mu.Lock()
	r.todo[s] = at
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *revoker) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.todo)
}

func (r *revoker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for !r.write(ctx) {
			if !sleep(ctx, revokePause) {
				return
			}
		}
	}
}

// write stores what is to do and tells whether all of it was stored.
func (r *revoker) write(ctx context.Context) bool {
	all := true
	for s, at := range r.snapshot() {
		err := r.writeOne(ctx, s, at)
		switch {
		case errors.Is(err, broker.ErrInvalid):
			r.log.Error("a revocation that cannot be stored is in force on this node alone", "kind", s.kind.String(), "err", err)
		case err != nil:
			r.log.Error("storing a revocation; it is in force on this node and is tried again", "kind", s.kind.String(), "err", err)
			if errors.Is(err, broker.ErrUnavailable) {
				return false // the others would fare no better
			}
			all = false
			continue
		}
		r.done(s, at)
	}
	return all
}

// writeOne stores a revocation and, with that of an account, the deletion of its machines: a machine
// that comes back when its tokens have run out is then known to be deleted.
func (r *revoker) writeOne(ctx context.Context, s subject, at time.Time) error {
	rev := broker.Revocation{Kind: s.kind.revocation(), ID: s.id, At: at, Until: r.until(at)}
	if err := r.store.Revoke(ctx, rev); err != nil || s.kind != accountSubject {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buryTimeout)
	defer cancel()
	return r.bury(ctx, s.id)
}

func (r *revoker) snapshot() map[subject]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	todo := make(map[subject]time.Time, len(r.todo))
	for s, at := range r.todo {
		todo[s] = at
	}
	return todo
}

func (r *revoker) done(s subject, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.todo[s].Equal(at) {
		delete(r.todo, s)
	}
}
