package gateway

import (
	"cmp"
	"slices"

	"github.com/fleetline/fleetline/api"
)

// Look is what this node knows of a machine.
type Look struct {
	Sessions []api.LiveSession
	// Held is the deletion of the machine, or of its account, that waits for proof.
	Held *Held
	// Refused: its deletion, or its account's, was reported and not taken back.
	Refused bool
	// CloneSuspected: it is here twice, from different boots.
	CloneSuspected bool
}

// Look looks at a machine.
func (g *Gateway) Look(machine, account string) Look {
	l := Look{CloneSuspected: g.clones.isSuspected(machine), Sessions: []api.LiveSession{}}
	for _, s := range g.hub.OfMachine(machine) {
		st, here := s.State()
		if !here {
			continue // it has just left
		}
		one := api.LiveSession{ID: s.ID(), Since: st.Since.UTC(), Bare: st.Bare, Position: st.Position, Behind: st.Behind}
		if v, ok := g.conns.guests.look(s.Socket()); ok {
			one.Address = v.address()
		}
		l.Sessions = append(l.Sessions, one)
	}
	slices.SortFunc(l.Sessions, func(a, b api.LiveSession) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	for _, s := range []subject{{machineSubject, machine}, {accountSubject, account}} {
		if s.id == "" {
			continue
		}
		l.Refused = l.Refused || g.refused.isReported(s)
		if h, ok := g.held.get(s); ok && l.Held == nil {
			l.Held = &h
		}
	}
	return l
}

// get is what is held of s.
func (h *heldSet) get(s subject) (Held, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[s]
	if e == nil {
		return Held{}, false
	}
	return Held{Kind: s.kind.String(), ID: s.id, Since: e.since, Why: e.why}, true
}
