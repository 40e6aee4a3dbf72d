package gateway

import (
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

func eventOf(t api.EventType, v guest, s session.Session, who session.Identity) api.Event {
	return api.Event{
		Type: t, Time: time.Now().UTC(), MachineID: who.Machine, AccountID: who.Account, SessionID: s.ID(), Address: v.address(),
	}
}

// tellConnected tells that a session begins, unless it has ended: an end is told after its beginning
// or not at all. Telling does not block, so the lock may be held around it.
func (g *Gateway) tellConnected(s session.Session, who session.Identity) {
	g.conns.guests.tell(s.Socket(), func(v guest) { g.tell(eventOf(api.MachineConnected, v, s, who)) })
}

// tellGone tells that a session has ended.
func (g *Gateway) tellGone(s session.Session, was session.State, code int, reason string) {
	v, ok := g.conns.guests.leave(s.Socket())
	if !ok || !v.told {
		return
	}
	ev := eventOf(api.MachineDisconnected, v, s, was.Identity)
	ev.Code, ev.Reason, ev.Position = code, reason, was.Position
	g.tell(ev)
}

// tellEnrolled tells of machines that an enrolment has made.
func (g *Gateway) tellEnrolled(a *applicant, m directory.Machine) {
	g.tell(api.Event{
		Type: api.MachineEnrolled, Time: m.EnrolledAt.UTC(), MachineID: m.ID, AccountID: m.AccountID, Address: a.conn.peer.Addr.String(),
	})
}

// tellDeletion tells that a machine was deleted. The deletion of an account is that of the machines
// that were here; the others are told of when their own records come.
func (g *Gateway) tellDeletion(s subject, here []session.Identity, reported time.Time) {
	ev := api.Event{Type: api.MachineDeleted, Time: reported.UTC(), MachineID: s.id}
	if s.kind == machineSubject {
		if len(here) > 0 {
			ev.AccountID = here[0].Account
		}
		g.tell(ev)
		return
	}
	told := make(map[string]bool, len(here))
	for _, who := range here {
		if !told[who.Machine] {
			told[who.Machine] = true
			ev.MachineID, ev.AccountID = who.Machine, s.id
			g.tell(ev)
		}
	}
}
