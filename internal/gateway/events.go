package gateway

import (
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

func eventOf(t api.EventType, c *conn, s *session.Session) api.Event {
	who := s.Identity()
	return api.Event{
		Type: t, Time: time.Now().UTC(), MachineID: who.Machine, AccountID: who.Account, SessionID: s.ID(), Address: c.peer.Addr.String(),
	}
}

// tellConnected tells that a session begins, unless it has ended: an end is told after its beginning
// or not at all. Telling does not block, so the lock may be held around it.
func (g *Gateway) tellConnected(c *conn, s *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == admitted {
		c.told = true
		g.tell(eventOf(api.MachineConnected, c, s))
	}
}

// tellGone tells that a session has ended.
func (g *Gateway) tellGone(c *conn, s *session.Session, code int, reason string) {
	c.mu.Lock()
	told := c.told
	c.mu.Unlock()
	if !told {
		return
	}
	ev := eventOf(api.MachineDisconnected, c, s)
	ev.Code, ev.Reason = code, reason
	ev.Position, _ = s.State()
	g.tell(ev)
}

// tellEnrolled tells of machines that an enrolment has made.
func (g *Gateway) tellEnrolled(a *applicant, m directory.Machine) {
	g.tell(api.Event{
		Type: api.MachineEnrolled, Time: m.EnrolledAt.UTC(), MachineID: m.ID, AccountID: m.AccountID, Address: a.conn.peer.Addr.String(),
	})
}

// tellDeletion tells that a machine was deleted. The deletion of an account is that of the machines
// that are here now; the others are told of when their own records come.
func (g *Gateway) tellDeletion(s subject, sessions []*session.Session, reported time.Time) {
	ev := api.Event{Type: api.MachineDeleted, Time: reported.UTC(), MachineID: s.id}
	if s.kind == machineSubject {
		if len(sessions) > 0 {
			ev.AccountID = sessions[0].Identity().Account
		}
		g.tell(ev)
		return
	}
	told := make(map[string]bool, len(sessions))
	for _, one := range sessions {
		if id := one.Machine(); !told[id] {
			told[id] = true
			ev.MachineID, ev.AccountID = id, s.id
			g.tell(ev)
		}
	}
}
