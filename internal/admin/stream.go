package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

const (
	// maxOutstanding lines and maxOutstandingBytes bound what a stream has read and not answered.
	maxOutstanding      = 512
	maxOutstandingBytes = 8 << 20
	// batchLines and batchBytes bound what is checked against the directory at once.
	batchLines = 128
	batchBytes = 1 << 20
	// stallTimeout is how long a caller may not take answers.
	stallTimeout = 30 * time.Second
)

// streams takes calls with a line for each message away from huma, which would read a body whole.
func (a *Admin) streams(ctx huma.Context, next func(huma.Context)) {
	if !strings.HasPrefix(strings.ToLower(ctx.Header("Content-Type")), api.StreamType) {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	a.stream(w, r)
}

// stream publishes line after line. The handler's goroutine reads, checks and publishes; another
// answers, in order, as the log acknowledges. Room in between is bounded, so a caller that does not
// take answers is read no further, and is cut off after stallTimeout.
func (a *Admin) stream(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	if err := ctl.EnableFullDuplex(); err != nil {
		writeProblem(w, api.NewError(api.CodeInternal, "this connection cannot carry a stream"))
		return
	}
	// A shut down ends the wait for more lines, and so the stream.
	stop := context.AfterFunc(a.draining, func() { ctl.SetReadDeadline(time.Now()) })
	defer stop()
	w.Header().Set("Content-Type", api.StreamType)
	w.WriteHeader(http.StatusOK)
	s := &stream{
		a:       a,
		ctx:     context.WithoutCancel(r.Context()), // what was read is published and waited for
		caller:  callOf(r.Context()).caller,
		in:      newLineReader(r.Body, a.cfg.MaxFrame+envelope),
		pending: make(chan pendingLine, maxOutstanding),
		room:    make(chan struct{}, maxOutstandingBytes/roomUnit),
		out:     newAnswerWriter(w, ctl),
	}
	answered := make(chan struct{})
	go func() { // ends when readAll closes pending
		defer close(answered)
		s.answerAll()
	}()
	s.out.flush() // the caller learns that it may go on
	err := s.readAll()
	<-answered
	told := true // why it ends early
	switch {
	case err == nil:
	case errors.Is(err, errTokenGone):
		s.out.write(lineError(0, api.NewError(api.CodeUnauthorized, "the token was deleted")))
	case a.draining.Err() != nil:
		s.out.write(lineError(0, api.NewError(api.CodeDraining, "the gateway is stopping")))
	default:
		told = false
	}
	s.out.close()
	if s.out.broken() != nil || !told {
		panic(http.ErrAbortHandler) // what was answered must not look like the whole
	}
}

// errTokenGone ends a stream whose token was deleted.
var errTokenGone = errors.New("the token was deleted")

// stream is one call with many messages.
type stream struct {
	// fixed after construction
	a       *Admin
	ctx     context.Context
	caller  caller
	pending chan pendingLine
	room    chan struct{} // one place for each started roomUnit bytes of data
	out     *answerWriter
	// owned by the reading goroutine
	in *lineReader
}

// roomUnit is the measure of outstanding bytes.
const roomUnit = 16 << 10

// pendingLine is a line that waits for its answer. One with nothing set asks for a flush.
type pendingLine struct {
	line    int
	places  int // of room
	problem error
	receipt broker.Receipt
	waiting *broker.Pending
}

// parsedLine is a line before it is published.
type parsedLine struct {
	line    int
	message api.Message
	problem error
}

// readAll returns nil at the input's end, and otherwise why it did not get there.
func (s *stream) readAll() error {
	defer close(s.pending)
	for {
		batch, err := s.readBatch()
		if !s.a.stillGood(s.ctx, s.caller) {
			return errTokenGone // before anything of the batch is published
		}
		s.check(batch)
		for _, p := range batch {
			s.submit(p)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case s.out.broken() != nil:
			return s.out.broken()
		}
	}
}

// readBatch waits for one line and takes those along that are there already.
func (s *stream) readBatch() (batch []parsedLine, err error) {
	size := 0
	for len(batch) == 0 || len(batch) < batchLines && size < batchBytes && s.in.hasLine() {
		if !s.in.hasLine() {
			s.pending <- pendingLine{} // about to wait: what is answered goes out
		}
		line, tooLong, err := s.in.next()
		if err != nil {
			return batch, err
		}
		p := parsedLine{line: s.in.line}
		if tooLong {
			p.problem = api.NewError(api.CodeDataTooLarge, "the line does not fit one frame")
		} else {
			p.message, p.problem = decodeMessage(line, s.a.cfg.MaxFrame)
		}
		size += len(p.message.Data)
		batch = append(batch, p)
	}
	return batch, nil
}

// check asks the directory for the targets of all good lines at once.
func (s *stream) check(batch []parsedLine) {
	targets := make([]api.Target, len(batch)) // empty for bad lines: nothing is asked
	for i, p := range batch {
		targets[i] = p.message.To
	}
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	for i, problem := range s.a.checkTargets(ctx, targets) {
		if batch[i].problem == nil {
			batch[i].problem = problem
		}
	}
}

// submit starts to publish a line once there is room. The room is given back by answerAll, which
// takes from pending until it is closed, so this wait ends.
func (s *stream) submit(p parsedLine) {
	out := pendingLine{line: p.line, problem: p.problem, places: 1 + len(p.message.Data)/roomUnit}
	for range out.places {
		s.room <- struct{}{}
	}
	switch {
	case out.problem != nil:
	case p.message.Mode == api.Live:
		out.receipt, out.problem = s.a.cfg.Publisher.PublishLive(s.ctx, forBroker(p.message))
	default:
		out.waiting, out.problem = s.a.cfg.Publisher.PublishAsync(s.ctx, forBroker(p.message))
	}
	s.pending <- out
}

// answerAll answers in the order of the lines. Every line that was published is waited for, also
// when nobody is there to be told.
func (s *stream) answerAll() {
	for p := range s.pending {
		if p.line == 0 {
			s.out.flush()
			continue
		}
		if p.waiting != nil {
			p.receipt, p.problem = p.waiting.Wait(s.ctx)
		}
		for range p.places {
			<-s.room
		}
		s.out.write(s.result(p))
	}
}

func (s *stream) result(p pendingLine) api.Result {
	if p.problem == nil {
		s.a.metrics.lines.WithLabelValues("ok").Inc()
		return api.Result{Receipt: receipt(p.receipt)}
	}
	e := problemOf(p.problem)
	s.a.metrics.lines.WithLabelValues(string(e.Code)).Inc()
	return lineError(p.line, e)
}

func lineError(line int, e *api.Error) api.Result {
	return api.Result{Line: line, Error: &api.LineError{Code: e.Code, Detail: e.Detail, Hint: e.Hint}}
}
