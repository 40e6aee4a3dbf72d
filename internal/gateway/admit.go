package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/fleetline/fleetline/wire"
)

type tokenClaims = token.Claims

// admit makes a session: register, then check, then speak, which is left to the greeter. If the connection
// closes meanwhile, nothing is spoken: the session has left.
func (g *Gateway) admit(a *applicant, who session.Identity, then *greeter) {
	if g.draining.Load() {
		g.refuse(a, wire.CodeDrain, retryAfter())
		return
	}
	who.Bare = a.bare
	s, err := g.register(a, who)
	switch {
	case errors.Is(err, session.ErrTooMany):
		g.refuse(a, wire.CodeTooManyConnections, retryAfter())
		return
	case err != nil:
		return // it closed, or its time ran out, while it was judged
	}
	if g.refused.since(a.seen, who) {
		// It was deleted or lost its key while it was judged: what was read may be older than that.
		g.prover.suspect(s, who)
		return
	}
	if hello, ok := g.greeting(a, s, who); ok {
		g.tellConnected(s, who)
		then.add(admission{a, who, s}, hello)
	}
}

// greeting is what a session begins with. If there is none, the session is ended.
func (g *Gateway) greeting(a *applicant, s session.Session, who session.Identity) (_ session.Greeting, ok bool) {
	tok, expires, err := g.tokens.Mint(claimsOf(who))
	if err != nil {
		g.log.Error("minting a token", "err", err)
		g.end(s, goodbye{code: wire.CodeDirectoryUnavailable, wait: retryAfter()})
		return session.Greeting{}, false
	}
	epoch := g.journal.Epoch()
	after, recovered := g.startingPoint(a.auth)
	if g.journal.Epoch() != epoch {
		g.end(s, goodbye{code: wire.CodeDrain, wait: retryAfter()}) // which life the position is of is not certain
		return session.Greeting{}, false
	}
	hello := wire.AuthSuccess{SessionToken: tok, Message: wire.TextAuthenticated}
	if !a.bare {
		welcome := g.welcome(s, who, expires)
		welcome.Seq, welcome.Epoch, welcome.Recovered = after, epoch, recovered
		hello.Welcome = &welcome
	}
	return session.Greeting{Session: s, Hello: greet(hello), After: after, Refresh: g.refreshTime(expires)}, true
}

var errClosed = errors.New("the connection is closed")

// register lets the session be found before anything is sent on it.
func (g *Gateway) register(a *applicant, who session.Identity) (s session.Session, err error) {
	c := a.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != judged {
		return s, errClosed
	}
	limit := sessionsPerMachine
	if who.Shared {
		limit = sessionsPerDefault
	}
	if s, err = g.hub.Enter(c.id, who, limit); err != nil {
		return s, err
	}
	c.becomeLocked(admitted)
	g.conns.guests.enter(c.id, c.peer.Addr, bootOf(a))
	c.leaveWaitingLocked()
	g.conns.remove(c.id)
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

func (g *Gateway) welcome(s session.Session, who session.Identity, expires time.Time) wire.Welcome {
	return wire.Welcome{
		MachineID:        who.Machine,
		SessionID:        s.ID(),
		ExpiresAt:        expires.UTC(),
		HeartbeatSeconds: g.hub.Heartbeat().Seconds(),
	}
}

// greet makes the first frame after a good auth. Its text is written on the stack: a fleet that comes
// back is sent one each.
func greet(hello wire.AuthSuccess) socket.Prepared {
	var room [1 << 10]byte
	return socket.Prepare(hello.Append(room[:0]))
}

func claimsOf(who session.Identity) tokenClaims {
	return tokenClaims{Machine: who.Machine, Account: who.Account, Key: who.Key}
}

// refreshTime is at two thirds of a token's life, in time for a machine that is slow to store it.
func (g *Gateway) refreshTime(expires time.Time) time.Time {
	return expires.Add(-time.Until(expires) / 3)
}

// refreshToken makes the frame that carries a fresh token to a session.
func (g *Gateway) refreshToken(s session.Session) (socket.Prepared, time.Time) {
	who, here := s.Identity()
	if !here || who.Bare {
		return nil, time.Now().Add(24 * time.Hour)
	}
	tok, expires, err := g.tokens.Mint(claimsOf(who))
	if err != nil {
		g.log.Error("minting a token", "err", err)
		return nil, time.Now().Add(time.Minute)
	}
	return prepare(wire.Token{SessionToken: tok, ExpiresAt: expires.UTC()}), g.refreshTime(expires)
}

// end ends a session by name.
func (g *Gateway) end(s session.Session, b goodbye) {
	r := refusals[b.code]
	b.bare = s.IsBare()
	if s.End(r.last(b.bare, b.text, b.wait), session.Ending{Code: r.close, Reason: wire.CloseReason(r.code, b.wait)}) {
		g.metrics.ended.WithLabelValues(string(b.code)).Inc()
	}
}

// gone forgets a session whose connection has closed.
func (g *Gateway) gone(s session.Session, how socket.Closure) {
	was, ok := g.hub.Leave(s)
	if !ok {
		return
	}
	g.news(was.Machine, nil)
	code, reason := how.Code, how.Reason
	if was.Ended {
		code, reason = uint16(was.Why.Code), was.Why.Reason
	}
	g.tellGone(s, was, int(code), reason)
	g.log.LogAttrs(context.Background(), slog.LevelInfo, "machine gone", slog.String("machine", was.Machine),
		slog.String("session", s.ID()), slog.Int("code", int(code)), slog.String("reason", reason),
		slog.Bool("byGateway", how.Local), slog.Duration("lasted", time.Since(was.Since).Round(time.Millisecond)))
}
