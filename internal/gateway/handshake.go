package gateway

import (
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/limit"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// Opened takes in a new connection, which has wire.AuthTimeout to authenticate.
func (g *Gateway) Opened(id socket.ID, peer socket.Peer) {
	c := &conn{id: id, peer: peer, opened: time.Now(), silent: &g.conns.silent}
	release, ok := g.limits.waiting.Enter(limit.Address(peer.Addr))
	if !ok {
		g.turnAway(c, goodbye{code: wire.CodeTooManyConnections, bare: true, wait: retryAfter()})
		return
	}
	c.release = release
	g.conns.put(c)
	g.conns.waiting.enter(c)
}

// Closed forgets a connection.
func (g *Gateway) Closed(id socket.ID, how socket.Closure) {
	if c := g.conns.remove(id); c != nil {
		c.close() // whoever is being admitted is now, or will not be
	}
	if s, ok := g.hub.Of(id); ok {
		g.gone(s, how)
	}
}

// find is the session of a connection or, as long as there is none, the connection. Neither is there
// if it is gone.
func (g *Gateway) find(id socket.ID) (c *conn, s session.Session, admitted bool) {
	if s, admitted = g.hub.Of(id); admitted {
		return nil, s, true
	}
	if c = g.conns.get(id); c != nil {
		return c, s, false
	}
	s, admitted = g.hub.Of(id) // meanwhile
	return nil, s, admitted
}

// Frame brings a frame from a machine.
func (g *Gateway) Frame(id socket.ID, payload []byte) {
	switch c, s, admitted := g.find(id); {
	case admitted:
		g.upstream(s, payload)
	case c != nil:
		g.first(c, payload)
	}
}

// Binary refuses a binary message: they are not part of the protocol.
func (g *Gateway) Binary(id socket.ID) {
	switch c, s, admitted := g.find(id); {
	case admitted:
		g.end(s, goodbye{code: wire.CodeNotText})
	case c != nil:
		g.turnAway(c, goodbye{code: wire.CodeNotText, bare: true})
	}
}

// Drained goes on with a session whose socket was full.
func (g *Gateway) Drained(id socket.ID) {
	if s, ok := g.hub.Of(id); ok {
		s.Drained()
	}
}

// first takes the first frame, which must be auth.
func (g *Gateway) first(c *conn, payload []byte) {
	frame, err := wire.ParseUp(payload)
	if err != nil {
		g.turnAway(c, goodbye{code: wire.CodeBadFrame, bare: true, text: "Bad frame: " + err.Error() + "."})
		return
	}
	auth, ok := frame.(wire.Auth)
	if !ok || !c.move(unauthenticated, judged) {
		g.turnAway(c, goodbye{code: wire.CodeNotAuthenticated, bare: true})
		return
	}
	a := &applicant{conn: c, bare: auth.V == 0, auth: auth}
	if auth.Machine != nil && auth.Machine.HWID == "" {
		g.turnAway(c, goodbye{code: wire.CodeBadFrame, bare: a.bare, text: "Bad frame: machine.hwid is missing."})
		return
	}
	if auth.SessionToken != "" && !g.readToken(a) {
		return
	}
	if !g.judge.submit(a) {
		g.refuse(a, wire.CodeDirectoryUnavailable, retryAfter())
	}
}

// readToken checks what a token says by itself.
func (g *Gateway) readToken(a *applicant) bool {
	claims, err := g.tokens.Verify(a.auth.SessionToken)
	if err != nil {
		g.refuse(a, wire.CodeBadToken, 0)
		return false
	}
	if g.isDeaf(leaseLost) {
		// Revocations from elsewhere may be in the log unheard.
		g.refuse(a, wire.CodeDirectoryUnavailable, retryAfter())
		return false
	}
	a.claims = claims
	return true
}

// applicant is a connection whose auth frame is being judged.
type applicant struct {
	conn *conn
	bare bool
	auth wire.Auth
	// claims are those of the token, if one was sent.
	claims tokenClaims
	// seen is the refused set's version before the directory was asked.
	seen uint64
}

func (a *applicant) hasToken() bool { return a.auth.SessionToken != "" }

func (a *applicant) key() directory.Key { return directory.Key(a.auth.APIKey) }

func (a *applicant) info() *directory.MachineInfo {
	if a.auth.Machine == nil {
		return nil
	}
	info := directory.MachineInfo(*a.auth.Machine)
	info.BootID = "" // it is of this run, and the directory keeps what lasts
	return &info
}

func (g *Gateway) refuse(a *applicant, code wire.Code, wait time.Duration) {
	g.turnAway(a.conn, goodbye{code: code, bare: a.bare, wait: wait})
}

// refuseKey refuses an unknown key, and slows down whoever tries many.
func (g *Gateway) refuseKey(a *applicant) {
	addr := limit.Address(a.conn.peer.Addr)
	okKey, waitKey := g.limits.byKey.Take(keyAt{addr, a.key().Digest()})
	okAddr, waitAddr := g.limits.byAddress.Take(addr)
	if okKey && okAddr {
		g.refuse(a, wire.CodeBadKey, 0)
		return
	}
	wait := max(waitKey, waitAddr)
	g.refuse(a, wire.CodeRateLimited, wait)
}

// keyAt names failed attempts with one key from one address.
type keyAt struct {
	addr limit.Addr
	key  directory.Digest
}

// Limits of the machines' door.
const (
	failuresPerKey     = 5
	failuresPerAddress = 10 * failuresPerKey
	messagesPerSecond  = 10
	messageBurst       = 20
	waitingPerAddress  = 1000
	waitingInAll       = 16384
	keysRemembered     = 1 << 16
)

func newLimits() limits {
	return limits{
		byKey:     limit.New[keyAt](limit.Config{Events: failuresPerKey, Per: time.Minute, Burst: failuresPerKey, MaxKeys: keysRemembered}),
		byAddress: limit.New[limit.Addr](limit.Config{Events: failuresPerAddress, Per: time.Minute, Burst: failuresPerAddress, MaxKeys: keysRemembered}),
		messages:  limit.New[meterKey](limit.Config{Events: messagesPerSecond, Per: time.Second, Burst: messageBurst, MaxKeys: keysRemembered}),
		waiting:   limit.NewPlaces[limit.Addr](waitingPerAddress, waitingInAll),
		refusals:  &refusalLog{},
	}
}

// endLate ends connections whose time to authenticate has run out. Those whose auth frame is still
// with the directory are told so.
func (g *Gateway) endLate(now time.Time) {
	for _, c := range g.conns.waiting.late(now.Add(-wire.AuthTimeout)) {
		switch {
		case c.move(unauthenticated, closed):
			g.turnAway(c, goodbye{code: wire.CodeAuthTimeout, bare: true})
		case c.move(judged, closed):
			g.turnAway(c, goodbye{code: wire.CodeDirectoryUnavailable, bare: true, wait: retryAfter()})
		}
	}
}
