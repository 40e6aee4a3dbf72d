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
