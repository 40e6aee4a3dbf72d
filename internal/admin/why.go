package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// whyEnds is how many ends are shown.
	whyEnds = 10
	// whyCount bounds the messages that are counted, and whyBytes their data.
	whyCount = 1000
	whyBytes = 4 << 20
)

func (a *Admin) whyRoutes(d *document) {
	register(a, d, route{
		id: "why", method: http.MethodGet, path: machinesPath + "/{id}/why", status: http.StatusOK,
		summary: "Say how a machine stands and why, also one that was deleted: sessions, last ends, what waits.",
	}, a.why)
}

func (a *Admin) why(ctx context.Context, in *byMachine) (*answer[api.Why], error) {
	found := a.checkMachines(ctx, []string{in.ID})[0]
	if found.Verdict != directory.Deleted {
		if _, err := machineIn(found); err != nil {
			return nil, err
		}
	}
	w, err := a.whyOf(ctx, found)
	if err != nil {
		return nil, err
	}
	return &answer[api.Why]{w}, nil
}

func (a *Admin) whyOf(ctx context.Context, found directory.MachineAnswer) (api.Why, error) {
	m := found.Machine
	w := a.cfg.Look(m.ID, m.AccountID)
	w.MachineID, w.AccountID, w.DeletedAt, w.LastSeenAt = m.ID, m.AccountID, m.DeletedAt, m.LastSeenAt
	if err := a.addEnds(ctx, &w); err != nil {
		return w, err
	}
	if n := len(w.Sessions); n > 0 {
		w.Position = w.Sessions[n-1].Position
	} else if len(w.Ends) > 0 {
		w.Position = w.Ends[0].Position
	}
	if w.Position > 0 && found.Verdict == directory.Found {
		if err := a.countWaiting(ctx, &w); err != nil {
			return w, err
		}
	}
	judge(&w, found.Verdict)
	return w, nil
}

// addEnds reads the last ends from the events, which are bounded: KeptSince says how far they go back.
func (a *Admin) addEnds(ctx context.Context, w *api.Why) error {
	events, since, err := a.cfg.Events.OfMachine(ctx, w.MachineID)
	if err != nil {
		return err
	}
	w.KeptSince, w.Ends = since, []api.SessionEnd{}
	for _, ev := range slices.Backward(events) {
		if ev.Type == api.MachineDisconnected && len(w.Ends) < whyEnds {
			w.Ends = append(w.Ends, api.SessionEnd{
				Time: ev.Time, SessionID: ev.SessionID, Node: ev.Node, Address: ev.Address, Code: ev.Code, Reason: ev.Reason, Position: ev.Position,
			})
		}
	}
	return nil
}

func (a *Admin) countWaiting(ctx context.Context, w *api.Why) error {
	size := 0
	for at := w.Position; ; {
		entries, reached, err := a.cfg.Publisher.History(ctx, w.MachineID, w.AccountID, at, historyStep)
		if err != nil {
			return err
		}
		for _, e := range entries {
			size += len(e.Data())
		}
		w.Waiting += len(entries)
		switch {
		case len(entries) < historyStep:
			return nil
		case w.Waiting >= whyCount, size >= whyBytes:
			w.MoreWaiting = true
			return nil
		}
		at = reached
	}
}

// judge says how it stands.
func judge(w *api.Why, v directory.Verdict) {
	reported := w.Because
	switch {
	case v == directory.Deleted:
		w.Standing, w.Because = api.StandingDeleted, "it was deleted, and is refused for ever; `fleetline machine readmit` takes that back"
	case w.Held != nil:
		w.Standing, w.Because = api.StandingHeld, "the deletion of its "+w.Held.Kind+" is held: "+w.Held.Why
	case len(w.Sessions) > 0:
		w.Standing, w.Because = api.StandingOnline, onlineBecause(w.Sessions)
	case reported != "":
		w.Standing, w.Because = api.StandingOffline, reported
	case len(w.Ends) > 0:
		e := w.Ends[0]
		w.Standing, w.Because = api.StandingOffline, fmt.Sprintf("its last session ended at %s with %d (%s)", e.Time.Format(time.RFC3339), e.Code, e.Reason)
	default:
		w.Standing, w.Because = api.StandingOffline, "no end of a session of its is known"
	}
}

func onlineBecause(sessions []api.LiveSession) string {
	text := fmt.Sprintf("it is connected since %s", sessions[0].Since.Format(time.RFC3339))
	if len(sessions) > 1 {
		text += fmt.Sprintf(", with %d sessions", len(sessions))
	}
	if s := sessions[len(sessions)-1]; s.Behind {
		text += "; it is behind: it reads what it has missed, or does not take what it is sent"
	}
	return text
}
