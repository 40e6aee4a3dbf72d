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
	older, newer *session.Session
	told         bool
}

// clonesMost bounds the pairs that are watched; a fleet that was imaged from one disk needs no longer
// list to be noticed.
const clonesMost = 1 << 12

func newCloneBook(heartbeat time.Duration) *cloneBook {
	return &cloneBook{least: 2 * heartbeat, pairs: make(map[string]*clonePair)}
}

// bootOf is what is kept of a boot id; 0 without one.
func bootOf(a *applicant) uint64 {
	if a.auth.Machine == nil || a.auth.Machine.BootID == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(a.auth.Machine.BootID))
	return max(h.Sum64(), 1)
}

// compareBoots looks whether a machine that has just been admitted is here already from another boot.
// A default machine is many machines by its nature.
func (g *Gateway) compareBoots(a *applicant, s *session.Session, isDefault bool) {
	boot := bootOf(a)
	if boot == 0 || isDefault {
		return
	}
	for _, other := range g.hub.OfMachine(s.Machine()) {
		if other == s {
			continue
		}
		if c := g.conns.get(other.Socket()); c != nil && c.hasOtherBoot(boot) {
			g.clones.add(other, s)
			return
		}
	}
}

func (c *conn) hasOtherBoot(boot uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot != 0 && c.boot != boot
}

func (b *cloneBook) add(older, newer *session.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := newer.Machine()
	if p := b.pairs[id]; p != nil && isLive(p.older) && isLive(p.newer) || p == nil && len(b.pairs) >= clonesMost {
		return // it is known already
	}
	b.pairs[id] = &clonePair{older: older, newer: newer}
}

func isLive(s *session.Session) bool { return !s.IsCut() }

// ripe forgets pairs that are none any more, and returns those that have just become certain.
func (b *cloneBook) ripe(now time.Time) (found []*clonePair) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, p := range b.pairs {
		switch {
		case !isLive(p.older) || !isLive(p.newer):
			delete(b.pairs, id)
		case !p.told && now.Sub(p.newer.Since()) > b.least:
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
		c := g.conns.get(p.newer.Socket())
		if c == nil {
			continue
		}
		ev := eventOf(api.MachineCloneSuspected, c, p.newer)
		ev.Reason = "session " + p.older.ID() + " is live too, from another boot"
		g.tell(ev)
		g.log.Warn("two machines seem to share one identity", "machine", ev.MachineID, "session", ev.SessionID, "other", p.older.ID(), "addr", ev.Address)
	}
}
