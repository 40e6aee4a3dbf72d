package gateway

import (
	"hash/fnv"
	"sync"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/session"
)

// cloneBook suspects machines that are two: live sessions of one machine whose boot ids differ. A
// machine that was restarted leaves a session behind until its silence ends it, so a suspicion is told
// only when both have lived on for longer than that.
type cloneBook struct {
	// least is how long two sessions must live side by side.
	least time.Duration

	mu sync.Mutex
	// Guarded by mu; by machine.
	pairs map[string]*clonePair
}

// clonePair are two sessions, the newer last.
type clonePair struct {
	older, newer session.Session
	since        time.Time
	told         bool
}

// clonesMost bounds the pairs that are watched; a fleet that was imaged from one disk needs no longer
// list to be noticed.
const clonesMost = 1 << 12

func newCloneBook(heartbeat time.Duration) *cloneBook {
	return &cloneBook{least: 2 * heartbeat, pairs: make(map[string]*clonePair)}
}

// bootOf is what is kept of a boot id; 0 without one.
func bootOf(a *applicant) uint32 {
	if a.auth.Machine == nil || a.auth.Machine.BootID == "" {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(a.auth.Machine.BootID))
	return max(h.Sum32(), 1)
}

// compareBoots looks whether a machine that has just been admitted is here already from another boot.
// A default machine is many machines by its nature.
func (g *Gateway) compareBoots(a *applicant, s session.Session, who session.Identity) {
	boot := bootOf(a)
	if boot == 0 || who.Shared {
		return
	}
	for _, other := range g.hub.OfMachine(who.Machine) {
		if other == s {
			continue
		}
		if v, ok := g.conns.guests.look(other.Socket()); ok && v.boot != 0 && v.boot != boot {
			g.clones.add(who.Machine, &clonePair{older: other, newer: s, since: time.Now()})
			return
		}
	}
}

func (b *cloneBook) add(machine string, pair *clonePair) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pairs[machine]; p != nil && p.isLive() || p == nil && len(b.pairs) >= clonesMost {
		return // it is known already
	}
	b.pairs[machine] = pair
}

func (p *clonePair) isLive() bool { return !p.older.IsCut() && !p.newer.IsCut() }

// ripe forgets pairs that are none any more, and returns those that have just become certain.
func (b *cloneBook) ripe(now time.Time) (found []*clonePair) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, p := range b.pairs {
		switch {
		case !p.isLive():
			delete(b.pairs, id)
		case !p.told && now.Sub(p.since) > b.least:
			p.told = true
			found = append(found, p)
		}
	}
	return found
}

func (b *cloneBook) isSuspected(machine string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pairs[machine]
	return p != nil && p.told
}

func (b *cloneBook) count() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pairs {
		if p.told {
			n++
		}
	}
	return n
}

// tellClones tells of machines that turned out to be two.
func (g *Gateway) tellClones(now time.Time) {
	for _, p := range g.clones.ripe(now) {
		v, ok := g.conns.guests.look(p.newer.Socket())
		who, here := p.newer.Identity()
		if !ok || !here {
			continue
		}
		ev := eventOf(api.MachineCloneSuspected, v, p.newer, who)
		ev.Reason = "session " + p.older.ID() + " is live too, from another boot"
		g.tell(ev)
		g.log.Warn("two machines seem to share one identity", "machine", ev.MachineID, "session", ev.SessionID, "other", p.older.ID(), "addr", ev.Address)
	}
}
