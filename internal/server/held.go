package server

import (
	"context"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/gateway"
)

// heldDeletions shows operators what the gateway holds.
func (s *Server) heldDeletions() []api.HeldDeletion {
	list := []api.HeldDeletion{}
	for _, h := range s.gateway.Held() {
		list = append(list, api.HeldDeletion{Kind: h.Kind, ID: h.ID, Since: h.Since.UTC(), Why: h.Why})
	}
	return list
}

// look shows operators what the gateway knows of a machine.
func (s *Server) look(machine, account string) api.Why {
	l := s.gateway.Look(machine, account)
	w := api.Why{Sessions: l.Sessions, CloneSuspected: l.CloneSuspected}
	for i := range w.Sessions {
		w.Sessions[i].Node = s.events.Node()
	}
	if h := l.Held; h != nil {
		w.Held = &api.HeldDeletion{Kind: h.Kind, ID: h.ID, Since: h.Since.UTC(), Why: h.Why}
	}
	if l.Refused {
		w.Because = "its deletion was reported, and its tokens are refused"
	}
	return w
}

func (s *Server) confirmDeletions(ctx context.Context, choose func(id string) bool) api.ConfirmedDeletions {
	done := s.gateway.Confirm(ctx, func(h gateway.Held) bool { return choose(h.ID) })
	return api.ConfirmedDeletions{Deleted: done.Deleted, Present: done.Present, Unavailable: done.Unavailable}
}

// directoryHealth says in words how deletions are noticed.
func (s *Server) directoryHealth() api.DirectoryHealth {
	accounts, machines := s.gateway.Feeds()
	return api.DirectoryHealth{Accounts: health(accounts), Machines: health(machines)}
}

func health(f gateway.Feed) string {
	if f.Live {
		return "live"
	}
	return "polling, because " + f.Why
}
