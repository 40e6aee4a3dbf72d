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

func meterOf(s session.Session, who session.Identity) meterKey {
	key := meterKey{machine: who.Machine}
	if who.Shared {
		key.session = s.Socket()
	}
	return key
}

// overMost is how many frames over the limit a machine may send in a row before it is sent away.
const overMost = messageBurst

// upstream takes a frame from an admitted machine.
func (g *Gateway) upstream(s session.Session, payload []byte) {
	frame, err := wire.ParseUp(payload)
	if _, ok := frame.(wire.Pong); ok {
		return // that bytes came is all it has to say
	}
	if s.IsCut() {
		return
	}
	if _, ok := frame.(wire.Disconnect); ok {
		s.End(nil, session.Ending{Code: wire.CloseNormal, Reason: "disconnect"})
		return
	}
	who, here := s.Identity()
	if !here || !g.withinRate(s, who) {
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
		g.news(who.Machine, &info)
	case wire.Unserved:
		g.answer(s, wire.CodeUnsupported, "This gateway does not take "+f.Type+" from machines yet.", 0)
	}
}

// withinRate counts a frame against the machine's rate. Over it, the frame is dropped: the first
// time with an error, and with a close when the machine goes on regardless.
func (g *Gateway) withinRate(s session.Session, who session.Identity) bool {
	ok, wait := g.limits.messages.Take(meterOf(s, who))
	if ok {
		s.Within()
		return true
	}
	g.metrics.overRate.Inc()
	switch over := s.Over(); {
	case over == 1:
		g.answer(s, wire.CodeRateLimited, "Rate limit exceeded. Slow down.", wait)
	case over > overMost:
		g.end(s, goodbye{code: wire.CodeRateLimited, wait: max(wait, time.Second)})
	}
	return false
}

// answer sends an error on a session that goes on.
func (g *Gateway) answer(s session.Session, code wire.Code, text string, wait time.Duration) {
	r := refusal{code: code, frame: errorFrame}
	s.Send(r.last(s.IsBare(), text, wait))
}

// news notes that a machine was seen now, whether it is still here and what it said of itself.
func (g *Gateway) news(id string, info *directory.MachineInfo) {
	g.seen.add(directory.Seen{MachineID: id, At: time.Now(), Online: g.hub.Count(id) > 0, Info: info})
}
