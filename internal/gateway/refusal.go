package gateway

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// refusal is one way of turning a machine away or ending its session: the last frame it is sent, and
// the close code behind it.
type refusal struct {
	code  wire.Code
	close wire.CloseCode
	// frame is the type of the last frame.
	frame frameKind
	text  string
}

type frameKind uint8

const (
	errorFrame frameKind = iota
	authFailedFrame
	deletedFrame
)

// refusals are all of them: the one table from verdict to frame and close code.
var refusals = map[wire.Code]refusal{
	wire.CodeAuthTimeout:          {wire.CodeAuthTimeout, wire.CloseAuthTimeout, errorFrame, "No auth frame came in time."},
	wire.CodeRateLimited:          {wire.CodeRateLimited, wire.CloseRateLimited, errorFrame, "Rate limit exceeded."},
	wire.CodeTooManyConnections:   {wire.CodeTooManyConnections, wire.CloseTooManyConnections, errorFrame, "There are too many connections."},
	wire.CodeDirectoryUnavailable: {wire.CodeDirectoryUnavailable, wire.CloseDirectoryUnavailable, errorFrame, "The gateway cannot check keys at the moment."},
	wire.CodeBadToken:             {wire.CodeBadToken, wire.CloseBadToken, authFailedFrame, "Invalid session token"},
	wire.CodeHeld:                 {wire.CodeHeld, wire.CloseHeld, errorFrame, "Access waits for proof. Keep your key."},
	wire.CodeMachineDeleted:       {wire.CodeMachineDeleted, wire.CloseMachineDeleted, deletedFrame, wire.TextMachineDeleted},
	wire.CodeBadKey:               {wire.CodeBadKey, wire.CloseBadKey, authFailedFrame, wire.TextInvalidKey},
	wire.CodeBadFrame:             {wire.CodeBadFrame, wire.CloseProtocol, errorFrame, "The frame is not valid."},
	wire.CodeNotAuthenticated:     {wire.CodeNotAuthenticated, wire.CloseProtocol, errorFrame, "The first frame must be auth."},
	wire.CodeNotText:              {wire.CodeNotText, wire.CloseUnsupported, errorFrame, "Binary frames are not part of the protocol."},
	wire.CodeDrain:                {wire.CodeDrain, wire.CloseRestart, errorFrame, "The gateway is restarting."},
}

// spread is how long machines that are turned away at once are spread over.
const spread = 5 * time.Second

// retryAfter is a hint that spreads machines turned away for a reason that passes.
func retryAfter() time.Duration { return time.Second + rand.N(spread) }

// last makes the refusal's frame. Clients that announced no version get the fixed block only, with
// the wait in words.
func (r refusal) last(bare bool, text string, wait time.Duration) socket.Prepared {
	if text == "" {
		text = r.text
	}
	if bare && wait > 0 {
		text += fmt.Sprintf(" Try again in %d s.", int((wait+time.Second-1)/time.Second))
	}
	code, ms := r.code, wait.Milliseconds()
	if bare {
		code, ms = "", 0
	}
	switch r.frame {
	case authFailedFrame:
		return prepare(wire.AuthFailed{Message: text, Code: code, RetryAfterMs: ms})
	case deletedFrame:
		return prepare(wire.MachineDeleted{Message: text})
	}
	return prepare(wire.Error{Message: text, Code: code, RetryAfterMs: ms})
}

func prepare(frame wire.Down) socket.Prepared { return socket.Prepare(wire.MustEncode(frame)) }

// goodbye is a refusal spelled out for one connection.
type goodbye struct {
	code wire.Code
	bare bool
	text string // empty: the refusal's own
	wait time.Duration
}

// refusalLog is one line for each refused connection, but for a flood of them: whoever knocks without
// end must not fill the disk.
type refusalLog struct {
	mu sync.Mutex
	// Guarded by mu.
	second  time.Time
	told    int
	skipped int
}

// refusalsPerSecond is how many are told one by one.
const refusalsPerSecond = 10

func (r *refusalLog) tell(log *slog.Logger, addr netip.Addr, code wire.Code) {
	told, skipped := r.count(time.Now())
	if skipped > 0 {
		log.Info("more connections were refused", "count", skipped)
	}
	if told {
		log.Info("connection refused", "addr", addr, "code", code)
	}
}

// count tells whether one more is told, and how many were not in the second before.
func (r *refusalLog) count(now time.Time) (told bool, skipped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.second) >= time.Second {
		skipped, r.second, r.told, r.skipped = r.skipped, now, 0, 0
	}
	if r.told == refusalsPerSecond {
		r.skipped++
		return false, skipped
	}
	r.told++
	return true, skipped
}

// turnAway ends a connection that has no session.
func (g *Gateway) turnAway(c *conn, b goodbye) {
	r := refusals[b.code]
	g.metrics.refused.WithLabelValues(string(b.code)).Inc()
	g.limits.refusals.tell(g.log, c.peer.Addr, b.code)
	g.engine.End(c.id, r.last(b.bare, b.text, b.wait), uint16(r.close), wire.CloseReason(r.code, b.wait))
}
