package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// StreamType is the media type of a stream of messages: one JSON object a line.
const StreamType = "application/x-ndjson"

// outboxBytes is how much a Stream holds back before Send waits.
const outboxBytes = 256 << 10

// Stream publishes many messages over one call, and brings one Result for each, in order. One
// goroutine may Send while another Receives; somebody must Receive, or Send comes to wait.
type Stream struct {
	// fixed after construction
	cancel context.CancelFunc
	body   io.Closer
	out    *outbox
	// owned by the goroutine that receives
	answers  *json.Decoder
	received uint64
}

// OpenStream begins a stream. Ending ctx ends it at once; Close must be called in any case.
func (c *Client) OpenStream(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	out := newOutbox()
	stop := context.AfterFunc(ctx, func() { out.Close() })
	// The transport's own limit begins when the whole body is sent, which is too late here.
	late := time.AfterFunc(answerTimeout, cancel)
	defer late.Stop()
	resp, err := c.send(ctx, http.MethodPost, "/v1/messages", StreamType, out)
	if err == nil {
		err = isType(resp, StreamType)
		if err != nil {
			resp.Body.Close()
		}
	}
	if err != nil {
		stop()
		out.Close()
		cancel()
		return nil, err
	}
	return &Stream{cancel: cancel, body: resp.Body, out: out, answers: json.NewDecoder(resp.Body)}, nil
}

// Send hands over one message. It waits while the gateway is behind. Its error means that the
// stream has ended; Receive says why.
func (s *Stream) Send(m Message) error {
	line, err := encode(m)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	return s.out.add(line)
}

// CloseSend says that no more messages come; Receive brings the results that are still due and then
// io.EOF.
func (s *Stream) CloseSend() { s.out.finish() }

// Receive waits for the next result: that of the first message without one. It returns io.EOF when
// every message has its result and no more come.
func (s *Stream) Receive() (Result, error) {
	var r Result
	if err := s.answers.Decode(&r); err != nil {
		return Result{}, s.ended(err)
	}
	if r.Error != nil && r.Line == 0 {
		return Result{}, r.Err()
	}
	s.received++
	return r, nil
}

// ended tells a stream that is complete from one that broke off.
func (s *Stream) ended(err error) error {
	sent, finished := s.out.count()
	if errors.Is(err, io.EOF) && finished && s.received == sent {
		return io.EOF
	}
	detail := fmt.Sprintf("the stream broke off: %d messages have no result", sent-min(s.received, sent))
	return fmt.Errorf("%w: %w", NewError(CodeStreamInterrupted, detail), err)
}

// Close ends the stream at once. Messages without a result may or may not be stored.
func (s *Stream) Close() error {
	s.cancel()
	s.out.Close()
	return s.body.Close()
}

// Err is the refusal of the line, nil for a receipt.
func (r Result) Err() error {
	if r.Error == nil {
		return nil
	}
	e := NewError(r.Error.Code, r.Error.Detail)
	e.Hint = r.Error.Hint
	return e
}

// outbox is the body of a stream's request. The transport reads from it as fast as the gateway
// takes, so lines that come in quick succession travel in one write.
type outbox struct {
	mu       sync.Mutex
	changed  *sync.Cond // on mu
	buf      bytes.Buffer
	lines    uint64
	finished bool // no more lines come
	closed   bool // nobody reads any more
}

func newOutbox() *outbox {
	o := &outbox{}
	o.changed = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) add(line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.buf.Len() >= outboxBytes && !o.closed && !o.finished {
		o.changed.Wait()
	}
	if o.closed || o.finished {
		return NewError(CodeStreamInterrupted, "the stream has ended")
	}
	o.buf.Write(line)
	o.lines++
	o.changed.Broadcast()
	return nil
}

// Read waits for lines; it is called by the transport alone.
func (o *outbox) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.buf.Len() == 0 && !o.finished && !o.closed {
		o.changed.Wait()
	}
	if o.closed {
		return 0, io.ErrClosedPipe
	}
	if o.buf.Len() == 0 {
		return 0, io.EOF
	}
	o.changed.Broadcast()
	return o.buf.Read(p)
}

// Close is called by the transport when it needs no more, also because the answer ended early.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
	return nil
}

func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	o.changed.Broadcast()
}

func (o *outbox) count() (lines uint64, finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines, o.finished
}
