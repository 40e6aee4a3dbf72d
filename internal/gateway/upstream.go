package gateway

import (
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// meterKey names who a message counts against: the machine, or one session of a default machine,
// which a fleet of old clients shares.
type meterKey struct {
	machine string
	session socket.ID
}

// overMost is how many frames over the limit a machine may send in a row before it is sent away.
const overMost = messageBurst

// upstream takes a frame from an admitted machine.
func (g *Gateway) upstream(c *conn, s *session.Session, payload []byte) {
	if s.IsCut() {
		return
	}
	frame, err := wire.ParseUp(payload)
	switch frame.(type) {
	case wire.Pong:
		return // that bytes came is all it has to say
	case wire.Disconnect:
		s.End(nil, session.Ending{Code: wire.CloseNormal, Reason: "disconnect"})
		return
	}
	if !g.withinRate(c, s) {
		return
	}
	switch f := frame.(type) {
	case nil:
		g.answer(s, wire.CodeBadFrame, "Bad frame: "+err.Error()+".", 0)
	case wire.Auth:
		g.answer(s, wire.CodeAlreadyAuthenticated, "This session is authenticated already.", 0)
	case wire.SystemInfo:
		info := directory.MachineInfo(f.Machine)
		info.BootID = ""
		g.news(s, &info)
	case wire.Unserved:
		g.answer(s, wire.CodeUnsupported, "This gateway does not take "+f.Type+" from machines yet.", 0)
	}
}

// withinRate counts a frame against the machine's rate. Over it, the frame is dropped: the first
// time with an error, and with a close when the machine goes on regardless.
func (g *Gateway) withinRate(c *conn, s *session.Session) bool {
	ok, wait := g.limits.messages.Take(c.meter(s))
	if ok {
		c.over = 0
		return true
	}
	g.metrics.overRate.Inc()
	c.over++
	switch {
	case c.over == 1:
		g.answer(s, wire.CodeRateLimited, "Rate limit exceeded. Slow down.", wait)
	case c.over > overMost:
		g.end(s, goodbye{code: wire.CodeRateLimited, wait: max(wait, time.Second)})
	}
	return false
}

// answer sends an error on a session that goes on.
func (g *Gateway) answer(s *session.Session, code wire.Code, text string, wait time.Duration) {
	r := refusal{code: code, frame: errorFrame}
	s.Send(r.last(s.Identity().Bare, text, wait))
}

// news notes that a machine was seen now, whether it is still here and what it said of itself.
func (g *Gateway) news(s *session.Session, info *directory.MachineInfo) {
	id := s.Identity().Machine
	g.seen.add(directory.Seen{MachineID: id, At: time.Now(), Online: g.hub.Count(id) > 0, Info: info})
}
