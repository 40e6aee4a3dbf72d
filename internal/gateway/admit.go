package gateway

import (
	"errors"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/fleetline/fleetline/wire"
)

type tokenClaims = token.Claims

// identity is who an applicant turned out to be.
type identity struct {
	machine   string
	account   string
	key       directory.Digest
	isDefault bool
}

// admit makes a session: register, then check, then speak.
func (g *Gateway) admit(a *applicant, who identity) {
	if g.draining.Load() {
		g.refuse(a, wire.CodeDrain, retryAfter())
		return
	}
	s, err := g.register(a, who)
	switch {
	case errors.Is(err, session.ErrTooMany):
		g.refuse(a, wire.CodeTooManyConnections, retryAfter())
		return
	case err != nil:
		return // it closed, or its time ran out, while it was judged
	}
	if g.refused.since(a.seen, s.Identity()) {
		// It was deleted or lost its key while it was judged: what was read may be older than that.
		g.prover.suspect(s)
		return
	}
	tok, expires, err := g.tokens.Mint(claimsOf(s.Identity()))
	if err != nil {
		g.log.Error("minting a token", "err", err)
		g.end(s, goodbye{code: wire.CodeDirectoryUnavailable, wait: retryAfter()})
		return
	}
	epoch := g.journal.Epoch()
	after, recovered := g.startingPoint(a.auth)
	if g.journal.Epoch() != epoch {
		g.end(s, goodbye{code: wire.CodeDrain, wait: retryAfter()}) // which life the position is of is not certain
		return
	}
	hello := wire.AuthSuccess{SessionToken: tok, Message: wire.TextAuthenticated}
	if !a.bare {
		hello.Welcome = g.welcome(s, expires, epoch, after, recovered)
	}
	g.tellConnected(a.conn, s)
	s.Start(prepare(hello), after, g.refreshTime(expires))
	g.compareBoots(a, s, who.isDefault)
	g.news(s, nil)
	g.metrics.admitted.Inc()
	g.log.Info("machine connected", "machine", who.machine, "account", who.account, "session", s.ID(), "addr", a.conn.peer.Addr, "token", a.hasToken())
}

var errClosed = errors.New("the connection is closed")

// register lets the session be found before anything is sent on it.
func (g *Gateway) register(a *applicant, who identity) (*session.Session, error) {
	c := a.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != judged {
		return nil, errClosed
	}
	limit := sessionsPerMachine
	if who.isDefault {
		limit = sessionsPerDefault
	}
	s, err := g.hub.Enter(c.id, session.Identity{Machine: who.machine, Account: who.account, Key: who.key, Bare: a.bare}, limit)
	if err != nil {
		return nil, err
	}
	c.stage, c.session, c.boot = admitted, s, bootOf(a)
	c.shared = who.isDefault
	c.leaveWaitingLocked()
	return s, nil
}

// startingPoint is the position a session starts after. Recovered is false only if history between
// the machine's position and that one is gone.
func (g *Gateway) startingPoint(a wire.Auth) (after uint64, recovered bool) {
	if a.LastSeq == nil || a.V == 0 {
		return g.hub.Begun(), true
	}
	return g.journal.Resolve(a.Epoch, *a.LastSeq)
}

func (g *Gateway) welcome(s *session.Session, expires time.Time, epoch string, after uint64, recovered bool) *wire.Welcome {
	return &wire.Welcome{
		MachineID:        s.Identity().Machine,
		SessionID:        s.ID(),
		ExpiresAt:        expires.UTC(),
		HeartbeatSeconds: g.hub.Heartbeat().Seconds(),
		Seq:              after,
		Epoch:            epoch,
		Recovered:        recovered,
	}
}

func claimsOf(who session.Identity) tokenClaims {
	return tokenClaims{Machine: who.Machine, Account: who.Account, Key: who.Key}
}

// refreshTime is at two thirds of a token's life, in time for a machine that is slow to store it.
func (g *Gateway) refreshTime(expires time.Time) time.Time {
	return expires.Add(-time.Until(expires) / 3)
}

// refreshToken makes the frame that carries a fresh token to a session.
func (g *Gateway) refreshToken(s *session.Session) (socket.Prepared, time.Time) {
	if s.Identity().Bare {
		return nil, time.Now().Add(24 * time.Hour)
	}
	tok, expires, err := g.tokens.Mint(claimsOf(s.Identity()))
	if err != nil {
		g.log.Error("minting a token", "err", err)
		return nil, time.Now().Add(time.Minute)
	}
	return prepare(wire.Token{SessionToken: tok, ExpiresAt: expires.UTC()}), g.refreshTime(expires)
}

// end ends a session by name.
func (g *Gateway) end(s *session.Session, b goodbye) {
	r := refusals[b.code]
	b.bare = s.Identity().Bare
	if s.End(r.last(b.bare, b.text, b.wait), session.Ending{Code: r.close, Reason: wire.CloseReason(r.code, b.wait)}) {
		g.metrics.ended.WithLabelValues(string(b.code)).Inc()
	}
}

// gone forgets a session whose connection has closed.
func (g *Gateway) gone(c *conn, s *session.Session, how socket.Closure) {
	g.hub.Leave(s)
	g.news(s, nil)
	code, reason := how.Code, how.Reason
	if why, ended := s.Why(); ended {
		code, reason = uint16(why.Code), why.Reason
	}
	g.tellGone(c, s, int(code), reason)
	g.log.Info("machine gone", "machine", s.Identity().Machine, "session", s.ID(), "code", code, "reason", reason,
		"byGateway", how.Local, "lasted", time.Since(s.Since()).Round(time.Millisecond))
}
