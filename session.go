package fleetline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/wire"
)

const (
	// letInWithin bounds an attempt, from the dial to the gateway's answer.
	letInWithin = 30 * time.Second
	// goodbyeWithin bounds how long Close waits for the gateway to hear it.
	goodbyeWithin = time.Second
)

// session is one live socket. The goroutine that runs it reads; a second one guards it against
// silence, and says goodbye.
type session struct {
	// Fixed once the gateway has let the machine in.
	conn      *websocket.Conn
	pulse     *pulse
	log       *slog.Logger
	inbox     *inbox
	identity  *identity
	heartbeat time.Duration
	epoch     string

	// ctx ends with the reason why the session ended, before the socket is touched. Reads and
	// writes hang on io, which ends later: the goodbye lies between.
	ctx context.Context
	end context.CancelCauseFunc
	io  context.Context
	cut context.CancelFunc

	// parked: the reader waits for room in the inbox and takes no bytes.
	parked atomic.Bool

	// Owned by the reader.
	lastError wire.Error // what the gateway complained of last,
	errorAt   time.Time  // and when
}

// open dials and authenticates.
func open(ctx context.Context, d *dialer, id *identity, b *inbox, log *slog.Logger) (*session, wire.AuthSuccess, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, letInWithin, ErrTooSlow)
	defer cancel()
	conn, pulse, err := d.dial(ctx)
	if err != nil {
		return nil, wire.AuthSuccess{}, named(ctx, err)
	}
	s := &session{conn: conn, pulse: pulse, log: log, inbox: b, identity: id, ctx: ctx, io: ctx}
	asked, _ := b.positions()
	welcome, err := s.authenticate(id.auth(asked))
	if err != nil {
		_ = conn.CloseNow()
		return nil, wire.AuthSuccess{}, err
	}
	s.heartbeat = wire.Heartbeat
	if w := welcome.Welcome; w != nil {
		s.heartbeat = heartbeatOf(w.HeartbeatSeconds)
		s.epoch = w.Epoch
		b.welcome(*w, asked)
	}
	return s, welcome, nil
}

// heartbeatOf bounds what a gateway says, so that nonsense makes neither a storm nor a deaf client.
func heartbeatOf(seconds float64) time.Duration {
	if !(seconds > 0) {
		return wire.Heartbeat
	}
	return time.Duration(min(max(seconds, 0.01), 3600) * float64(time.Second))
}

func (s *session) authenticate(a wire.Auth) (wire.AuthSuccess, error) {
	frame, err := wire.Encode(a)
	if err != nil {
		return wire.AuthSuccess{}, err
	}
	if err := s.conn.Write(s.io, websocket.MessageText, frame); err != nil {
		return wire.AuthSuccess{}, s.reason(err)
	}
	for {
		down, err := s.read()
		if err != nil {
			return wire.AuthSuccess{}, err
		}
		if welcome, ok := down.(wire.AuthSuccess); ok {
			return welcome, nil
		}
		if err := s.verdict(down); err != nil {
			return wire.AuthSuccess{}, err
		}
	}
}

// serve runs the session until it ends and returns why. When stop ends first, the gateway is told.
func (s *session) serve(stop context.Context) error {
	background := context.WithoutCancel(stop)
	s.ctx, s.end = context.WithCancelCause(background)
	s.io, s.cut = context.WithCancel(background)
	var guard sync.WaitGroup
	guard.Go(func() { s.guard(stop) }) // ends with s.ctx
	s.end(s.receive())
	guard.Wait()
	s.cut()
	_ = s.conn.CloseNow()
	return context.Cause(s.ctx)
}

func (s *session) receive() error {
	for {
		down, err := s.read()
		if err != nil {
			return err
		}
		if err := s.handle(down); err != nil {
			return err
		}
	}
}

// read returns the next frame that can be understood; others are skipped.
func (s *session) read() (wire.Down, error) {
	for {
		kind, frame, err := s.conn.Read(s.io)
		if err != nil {
			return nil, s.reason(err)
		}
		if kind != websocket.MessageText {
			continue
		}
		down, err := wire.ParseDown(frame)
		if err == nil {
			return down, nil
		}
		s.log.Debug("a frame is skipped", "problem", err)
	}
}

func (s *session) handle(down wire.Down) error {
	switch f := down.(type) {
	case wire.Ping:
		if f.Seq != nil {
			s.inbox.reach(*f.Seq)
		}
		if err := s.pong(); err != nil {
			return err
		}
		s.identity.cfg.OnHeartbeat()
		return nil
	case wire.Data:
		return s.deliver(f)
	case wire.Gap:
		s.inbox.gap(f.Seq)
	case wire.Token:
		s.identity.adopt(f.SessionToken, f.ExpiresAt)
	}
	return s.verdict(down)
}

// verdict is the refusal that a frame says, if it says one. A complaint alone ends nothing, but it
// is remembered: the close that may follow is explained by it.
func (s *session) verdict(down wire.Down) error {
	switch f := down.(type) {
	case wire.MachineDeleted:
		return &Refusal{Code: wire.CodeMachineDeleted, Message: f.Message}
	case wire.AuthFailed:
		return refusalOf(f)
	case wire.Error:
		s.lastError, s.errorAt = f, time.Now()
		s.log.Warn("the gateway complains", "code", f.Code, "message", printable(f.Message))
	}
	return nil
}

// refusalOf reads auth_failed. A gateway that knows only the fixed block names no code; its one
// fixed text is a verdict, other words are not.
func refusalOf(f wire.AuthFailed) *Refusal {
	r := &Refusal{Code: f.Code, Message: f.Message, RetryAfter: wire.Milliseconds(uint64(max(f.RetryAfterMs, 0)))}
	if r.Code == "" && r.Message == wire.TextInvalidKey {
		r.Code = wire.CodeBadKey
	}
	return r
}

// deliver waits for room, so a caller that is slow slows the gateway down and nothing else.
func (s *session) deliver(d wire.Data) error {
	for !s.inbox.put(d) {
		s.parked.Store(true)
		select {
		case <-s.inbox.room:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		s.pulse.beat() // nothing came because nothing was read
		s.parked.Store(false)
	}
	return nil
}

// pong says that this machine lives, and what it has processed.
func (s *session) pong() error {
	p := wire.Pong{}
	if _, at := s.inbox.positions(); at.Epoch == s.epoch && s.epoch != "" {
		p.Seq = &at.Seq
	}
	ctx, cancel := context.WithTimeoutCause(s.io, wire.Silence(s.heartbeat), ErrSilent)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, wire.MustEncode(p)); err != nil {
		return named(ctx, s.reason(err))
	}
	return nil
}

// guard ends the session when the gateway is silent. While the reader is parked it cannot be: then
// the guard sends the pongs that the reader cannot, so that the gateway does not find this end
// silent either.
func (s *session) guard(stop context.Context) {
	timer := time.NewTimer(s.heartbeat / 2)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-stop.Done():
			s.end(context.Cause(stop))
			s.goodbye()
			s.cut()
			return
		case <-timer.C:
			timer.Reset(s.watch())
		}
	}
}

// watch looks once and returns when to look again.
func (s *session) watch() time.Duration {
	if s.parked.Load() {
		if err := s.pong(); err != nil {
			s.end(err)
		}
		return s.heartbeat / 2
	}
	left := wire.Silence(s.heartbeat) - s.pulse.quiet()
	if left <= 0 {
		s.end(ErrSilent)
		s.cut()
	}
	return min(left, s.heartbeat/2)
}

// goodbye tells the gateway that this end leaves of its own will, as long as that takes no time.
func (s *session) goodbye() {
	late := time.AfterFunc(goodbyeWithin, func() { _ = s.pulse.Close() })
	defer late.Stop()
	if s.conn.Write(s.io, websocket.MessageText, wire.MustEncode(wire.Disconnect{})) == nil {
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
	}
}

// reason says why a read or write failed: what this end decided comes before the noise of closing,
// and the gateway's own words come before the network's.
func (s *session) reason(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return ErrTooBig
	}
	if status := websocket.CloseStatus(err); status != -1 {
		closed, _ := errors.AsType[websocket.CloseError](err)
		return s.closedBy(wire.CloseCode(status), closed.Reason)
	}
	return fmt.Errorf("the connection broke: %w", err)
}

// closedBy makes a refusal of a close frame and of the complaint before it.
func (s *session) closedBy(code wire.CloseCode, reason string) *Refusal {
	r := &Refusal{Code: code.Code(), Close: code, Message: reason, RetryAfter: wire.RetryAfter(reason)}
	if word, _, _ := strings.Cut(reason, ";"); word == string(r.Code) {
		r.Message = "" // words for programs, which Code and RetryAfter say already
	}
	complaint := s.lastError
	if complaint.Message != "" && (complaint.Code == r.Code || strings.HasPrefix(reason, string(complaint.Code))) {
		r.Message = complaint.Message
	}
	wait := wire.Milliseconds(uint64(max(complaint.RetryAfterMs, 0)))
	r.RetryAfter = max(r.RetryAfter, wait-time.Since(s.errorAt))
	return r
}

// named returns the reason that ctx ended with, or err if it did not end.
func named(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
