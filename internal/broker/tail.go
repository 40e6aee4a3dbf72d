package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tail hears the log in order, fills the window and hands every entry on.
//
// It is its own ordered consumer: each time it starts it checks that the log reaches at least as far
// as itself and asks for what comes after its own position; it notices a lost delivery by the
// consumer's numbers and a dead consumer by missing heartbeats, and starts again.
type tail struct {
	nc     *nats.Conn
	js     jetstream.JetStream // over nc
	lives  *lives
	window *window
	pulse  *pulse
	log    logger
	counts *counts

	followers followers

	// taken is set once by whoever runs the tail, or by Close if nobody did; done ends with the run.
	taken atomic.Bool
	done  chan struct{}

	// Owned by the goroutine that runs the tail. from is the log's end as of Open: entries up to it
	// fill the window and are not handed on. position is the last entry heard.
	from, position uint64

	// calling is held around fn, which the log and the live messages share.
	calling sync.Mutex
	fn      func(*Entry)
}

const (
	// tailBatch and tailBytes bound what is asked for ahead.
	tailBatch = 2048
	tailBytes = 8 << 20
	// tailHeartbeat is how often a quiet consumer says that it lives; two missing end it.
	tailHeartbeat = 500 * time.Millisecond
	// tailPause is the wait before starting again.
	tailPause = 50 * time.Millisecond
)

func newTail(b *Broker) (*tail, error) {
	js, err := jetstream.New(b.engine.tail, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("connecting the tail: %w", err)
	}
	return &tail{nc: b.engine.tail, js: js, lives: b.lives, window: b.window, pulse: b.pulse,
		log: b.log, counts: &b.counts, done: make(chan struct{}), from: b.lives.kept.Load().last}, nil
}

// Tail hears the log until ctx ends or the broker is closed, and calls fn for every entry and every
// live-only message: never twice at once, and log entries in order of position. Data entries are in
// the window before fn hears of them. The entries that were in the log at Open only fill the window.
// Whatever the tail meets it goes on from its own position; a Break tells when that was not
// possible. It returns ErrClosed or ctx's cause. A broker has one tail in its life.
func (b *Broker) Tail(ctx context.Context, fn func(*Entry)) error {
	if !b.tail.taken.CompareAndSwap(false, true) {
		return errors.New("the log has a tail already, or is closed")
	}
	defer close(b.tail.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()
	b.tail.fn = fn
	b.tail.run(ctx)
	if b.closing.Err() != nil {
		return ErrClosed
	}
	return context.Cause(ctx)
}

func (t *tail) run(ctx context.Context) {
	var live sync.WaitGroup
	defer live.Wait()
	live.Go(func() { t.hearLive(ctx) }) // until ctx ends
	t.begin(ctx)
	for ctx.Err() == nil {
		err := t.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		t.counts.tailRestarts.Add(1)
		t.log.Warn("the log's tail starts again", "error", err)
		pause(ctx, tailPause)
	}
}

// wait returns when the tail does not run and will not.
func (t *tail) wait() {
	if !t.taken.CompareAndSwap(false, true) {
		<-t.done
	}
}

// begin places the window so that the recent past that fits is heard first.
func (t *tail) begin(ctx context.Context) {
	life := *t.lives.current.Load()
	from := t.from
	if s, err := t.lives.state(ctx, life); err == nil {
		from = fillFrom(s, t.from, t.window.bound)
	}
	t.position = from
	t.window.reset(from, t.from)
}

// fillFrom is the position after which the log's entries up to end are about as large as the bound.
// The average entry is all there is to go by; what is too much is dropped again by the window.
func fillFrom(s jetstream.StreamState, end uint64, bound int) uint64 {
	if s.Msgs == 0 || s.FirstSeq > end {
		return end
	}
	if s.Bytes <= uint64(bound) {
		return s.FirstSeq - 1
	}
	entries := uint64(float64(bound) / float64(s.Bytes) * float64(end-s.FirstSeq+1))
	return end - min(entries, end-s.FirstSeq+1)
}

// follow hears the log from the tail's position until something goes wrong.
func (t *tail) follow(ctx context.Context) error {
	if err := t.check(ctx); err != nil {
		return err
	}
	life := *t.lives.current.Load()
	name := "tail_" + randomName()
	open, cancel := apiContext(ctx)
	defer cancel()
	cons, err := t.js.CreateConsumer(open, life.stream(), jetstream.ConsumerConfig{
		Name: name, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.position + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return fmt.Errorf("making the tail's consumer: %w", err)
	}
	defer t.remove(life.stream(), name)
	msgs, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(tailBatch, tailBytes),
		jetstream.PullHeartbeat(tailHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	defer msgs.Stop()
	return t.pull(ctx, life, msgs)
}

// remove is best effort: the server drops a consumer nobody asks after a minute.
func (t *tail) remove(stream, name string) {
	ctx, cancel := apiContext(context.Background())
	defer cancel()
	_ = t.js.DeleteConsumer(ctx, stream, name)
}

func (t *tail) pull(ctx context.Context, life life, msgs jetstream.MessagesContext) error {
	for delivered := uint64(1); ; delivered++ {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("pulling the log: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("pulling the log: %w", err)
		}
		if meta.Sequence.Consumer != delivered {
			return fmt.Errorf("pulling the log: delivery %d came as %d", delivered, meta.Sequence.Consumer)
		}
		if err := t.hear(ctx, record{
			subject: m.Subject(), seq: meta.Sequence.Stream, at: meta.Timestamp, data: m.Data(),
			id: publisherID(m.Headers().Get(jetstream.MsgIDHeader)), ttl: parseTTL(m.Headers().Get(jetstream.MsgTTLHeader)),
		}, life); err != nil {
			return err
		}
	}
}

// hear takes one record of the log: into the window first, then on.
func (t *tail) hear(ctx context.Context, r record, life life) error {
	if r.seq <= t.position {
		return fmt.Errorf("hearing the log: %d came after %d", r.seq, t.position)
	}
	if err := t.leap(ctx, r.seq, life); err != nil {
		return err
	}
	t.position = r.seq
	e, err := decode(r, life.Epoch)
	if err != nil {
		// It will not become readable by asking again.
		t.log.Error("an entry of the log cannot be read and is passed over", "error", err)
		t.counts.unreadable.Add(1)
	}
	switch {
	case e == nil:
		t.window.advance(r.seq)
		return nil
	case e.Kind == Data && e.Expired(time.Now()):
		t.window.advance(r.seq)
	case e.Kind == Data:
		t.window.append(e)
	default:
		t.window.advance(r.seq)
	}
	if e.Kind == Beat {
		t.pulse.hear(e.Lease)
	}
	if r.seq > t.from {
		t.hand(e)
	}
	return nil
}

// leap looks why entries were left out between the tail's position and the next entry. Those that
// their TTL or a hand removed are no loss; but if the log's first position has passed the tail's,
// age removed what nobody has heard. While the window is filled nobody reads it, so one look at the
// end is enough.
func (t *tail) leap(ctx context.Context, next uint64, life life) error {
	filled := t.position < t.from && next >= t.from
	if !filled && (next == t.position+1 || next < t.from) {
		return nil
	}
	s, err := t.lives.state(ctx, life)
	if err != nil {
		return fmt.Errorf("comparing the tail with the log: %w", err)
	}
	trimmed := min(s.FirstSeq, next) - 1
	switch {
	case trimmed <= t.position && !filled, s.FirstSeq == 0:
	case trimmed > max(t.position, t.from):
		t.log.Error("the log trimmed what its tail had not heard", "heard", t.position, "first", s.FirstSeq)
		t.breakAt(trimmed)
	default:
		t.window.raise(trimmed)
	}
	return nil
}

func (t *tail) hand(e *Entry) {
	t.calling.Lock()
	defer t.calling.Unlock()
	t.fn(e)
	t.followers.see(e)
}

// check compares the log with the tail's own position. A log that ends before it has lost what was
// acknowledged, and a new life begins.
func (t *tail) check(ctx context.Context) error {
	s, err := t.lives.state(ctx, *t.lives.current.Load())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), err == nil && s.LastSeq < t.position:
		return t.renew(ctx)
	case err != nil:
		return fmt.Errorf("comparing the tail with the log: %w", err)
	}
	return nil
}

func (t *tail) renew(ctx context.Context) error {
	if err := t.lives.replace(ctx); err != nil {
		return fmt.Errorf("beginning a new life of the log: %w", err)
	}
	now := t.lives.current.Load()
	t.log.Error("the log ended before what had been heard of it: a new life begins", "epoch", now.Epoch, "after", now.First-1)
	t.from = min(t.from, now.First-1)
	t.breakAt(now.First - 1)
	// A lease is in every life from its beginning: reads need one.
	_, err := t.pulse.beat(ctx, *now)
	return err
}

func (t *tail) breakAt(after uint64) {
	t.position = after
	t.window.reset(after, after)
	t.hand(&Entry{Kind: Break, Seq: after, At: time.Now()})
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// parseTTL reads the header that message wrote; anything else counts as none.
func parseTTL(header string) time.Duration {
	n, err := strconv.ParseInt(header, 10, 32)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
