package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// acks sends records to the stream and matches the answers. It exists beside the client library's
// own way because it bounds what is outstanding in bytes, gives up on a context, and uses no timer
// and no goroutine for a message.
type acks struct {
	nc     *nats.Conn
	prefix string // of reply subjects
	sub    *nats.Subscription
	gate   gate

	mu sync.Mutex
	// Guarded by mu.
	next    uint64
	waiting map[uint64]*pending
	closed  bool
}

// pending is one record on its way.
type pending struct {
	// Fixed after construction.
	token uint64
	sent  time.Time
	cost  int // of the gate
	done  chan struct{}
	// settle hears the outcome once, before done is closed.
	settle func(ack, error)

	// Written once before done is closed.
	ack ack
	err error
}

// ack is the stream's answer.
type ack struct {
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

// publishTimeout is how long an answer may take.
const publishTimeout = 5 * time.Second

func newAcks(nc *nats.Conn) (*acks, error) {
	a := &acks{nc: nc, prefix: nc.NewRespInbox() + ".", waiting: make(map[uint64]*pending), gate: newGate()}
	var err error
	if a.sub, err = nc.Subscribe(a.prefix+"*", a.answered); err != nil {
		return nil, fmt.Errorf("subscribing to acknowledgements: %w", err)
	}
	return a, nil
}

// send starts one record. It blocks while too much is outstanding.
func (a *acks) send(ctx context.Context, m *nats.Msg, settle func(ack, error)) (*pending, error) {
	p := &pending{cost: a.gate.cost(len(m.Data)), done: make(chan struct{}), settle: settle, sent: time.Now()}
	if err := a.gate.enter(ctx, p.cost); err != nil {
		return nil, fmt.Errorf("%w: waiting for earlier messages: %w", ErrUnavailable, err)
	}
	if err := a.register(p); err != nil {
		a.gate.leave(p.cost)
		return nil, err
	}
	m.Reply = a.prefix + strconv.FormatUint(p.token, 36)
	if err := a.nc.PublishMsg(m); err != nil {
		a.finish(p.token, ack{}, unavailable(err))
	}
	return p, nil
}

// write sends a record that is not a publisher's, so that it may use the reserve, and waits.
func (a *acks) write(ctx context.Context, s *space, m *nats.Msg) (uint64, error) {
	bytes := int64(m.Size() + recordOverhead)
	sent, err := a.send(ctx, m, func(_ ack, err error) { s.wrote(bytes, err == nil) })
	if err != nil {
		return 0, err
	}
	k, err := sent.wait(ctx)
	return k.Seq, err
}

func (a *acks) register(p *pending) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	a.next++
	p.token = a.next
	a.waiting[p.token] = p
	return nil
}

// wait returns the answer. One that does not come in time is given up by expire.
func (p *pending) wait(ctx context.Context) (ack, error) {
	select {
	case <-p.done:
		return p.ack, p.err
	case <-ctx.Done():
		return ack{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func (a *acks) answered(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.prefix), 36, 64)
	if err != nil {
		return
	}
	k, err := readAck(m)
	a.finish(token, k, err)
}

func (a *acks) finish(token uint64, k ack, err error) {
	a.mu.Lock()
	p := a.waiting[token]
	delete(a.waiting, token)
	a.mu.Unlock()
	if p != nil {
		a.end(p, k, err)
	}
}

func (a *acks) end(p *pending, k ack, err error) {
	p.ack, p.err = k, err
	p.settle(k, err)
	close(p.done)
	a.gate.leave(p.cost)
}

// expire gives up on records sent before a time.
func (a *acks) expire(before time.Time, because error) {
	a.mu.Lock()
	var late []*pending
	for token, p := range a.waiting {
		if p.sent.Before(before) {
			late = append(late, p)
			delete(a.waiting, token)
		}
	}
	a.mu.Unlock()
	for _, p := range late {
		a.end(p, ack{}, because)
	}
}

// close refuses what comes, waits a moment for what is outstanding and gives up on the rest.
func (a *acks) close() {
	a.mu.Lock()
	a.closed = true
	outstanding := slices.Collect(maps.Values(a.waiting))
	a.mu.Unlock()
	patience := time.NewTimer(apiTimeout)
	defer patience.Stop()
	for _, p := range outstanding {
		select {
		case <-p.done:
			continue
		case <-patience.C:
		}
		break
	}
	a.expire(time.Now().Add(time.Hour), fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed))
}

// Error codes of JetStream that mean that there is no room.
const (
	codeNoResources     = 10023
	codeStoreFailed     = 10077
	codeStorageExceeded = 10047
)

func readAck(m *nats.Msg) (ack, error) {
	if len(m.Data) == 0 {
		if m.Header.Get("Status") == "503" {
			return ack{}, fmt.Errorf("%w: no stream takes this subject", ErrUnavailable)
		}
		return ack{}, fmt.Errorf("%w: an empty acknowledgement", ErrUnavailable)
	}
	var answer struct {
		ack
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return ack{}, fmt.Errorf("%w: reading the acknowledgement: %w", ErrUnavailable, err)
	}
	if answer.Error == nil {
		return answer.ack, nil
	}
	if isFullCode(answer.Error.ErrorCode) {
		return ack{}, fmt.Errorf("%w: %s", ErrFull, answer.Error.Description)
	}
	return ack{}, fmt.Errorf("%w: %s", ErrUnavailable, answer.Error.Description)
}

func isFullCode(c jetstream.ErrorCode) bool {
	return c == codeNoResources || c == codeStoreFailed || c == codeStorageExceeded
}

// unavailable names what went wrong as the log not answering.
func unavailable(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// gate bounds what is outstanding: a message costs one place for each started 16 KiB.
type gate struct {
	places chan struct{}
	// turn lets one at a time take more than one place, so that two cannot wait for each other.
	turn chan struct{}
}

const (
	gatePlaces = 4096
	placeBytes = 16 << 10
)

func newGate() gate {
	return gate{places: make(chan struct{}, gatePlaces), turn: make(chan struct{}, 1)}
}

func (gate) cost(bytes int) int { return min(1+bytes/placeBytes, gatePlaces) }

func (g gate) enter(ctx context.Context, cost int) error {
	if cost > 1 {
		if err := put(ctx, g.turn); err != nil {
			return err
		}
		defer func() { <-g.turn }()
	}
	for taken := range cost {
		if err := put(ctx, g.places); err != nil {
			g.leave(taken)
			return err
		}
	}
	return nil
}

func (g gate) leave(cost int) {
	for range cost {
		<-g.places
	}
}

func put(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	default:
	}
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
