package gateway

import (
	"context"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// Held lists the deletions that are held on this node, the oldest first.
func (g *Gateway) Held() []Held { return g.held.list() }

// Confirmed is what became of deletions that an operator confirmed.
type Confirmed struct {
	// Deleted were told, or will be when they come back.
	Deleted int
	// Present are rows that are there again: nothing was deleted.
	Present int
	// Unavailable could not be read and stay held.
	Unavailable int
}

// Confirm says on an operator's word that the held deletions that choose picks are meant. Each row is
// read once more: one that is there, or that cannot be read, is not deleted.
func (g *Gateway) Confirm(ctx context.Context, choose func(Held) bool) Confirmed {
	var accounts, machines []string
	for _, h := range g.held.list() {
		switch {
		case !choose(h):
		case h.Kind == accountSubject.String():
			accounts = append(accounts, h.ID)
		default:
			machines = append(machines, h.ID)
		}
	}
	var done Confirmed
	for i, f := range g.view.accountsByID.insist(ctx, accounts) {
		g.confirm(&done, subject{accountSubject, accounts[i]}, f.verdict)
	}
	for i, f := range g.view.machinesByID.insist(ctx, machines) {
		g.confirm(&done, subject{machineSubject, machines[i]}, f.verdict)
	}
	return done
}

func (g *Gateway) confirm(done *Confirmed, s subject, v directory.Verdict) {
	switch v {
	case directory.Unavailable:
		done.Unavailable++
	case directory.Found:
		g.held.drop(s)
		done.Present++
	default:
		g.tellDeleted(s, g.sessionsOf(s), time.Now())
		done.Deleted++
	}
}

// Feeds tells whether changes of the directory's accounts and machines flow.
func (g *Gateway) Feeds() (accounts, machines Feed) {
	return g.view.feed(accountSubject), g.view.feed(machineSubject)
}
