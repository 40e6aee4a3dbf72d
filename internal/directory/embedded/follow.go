package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// probeEvery is how often the leader is asked how far the records go.
	probeEvery = time.Second
	// retryAfter is the pause before a broken tail is begun again.
	retryAfter = 100 * time.Millisecond
	// quiet is how long the server may say nothing before it is taken for lost.
	quiet = time.Second
)

var (
	errBehind       = errors.New("the records come too late")
	errRestored     = errors.New("the records are not those that were read before")
	errGap          = errors.New("the records did not come in order")
	errDisconnected = errors.New("the connection was lost")
)

// run follows the bucket until the directory is closed.
func (b *bucket) run() {
	for b.life.Err() == nil {
		err := b.follow(b.life)
		b.setFollowing(false, err)
		select {
		case <-time.After(retryAfter):
		case <-b.life.Done():
		}
	}
	b.setFollowing(false, feed.ErrClosed)
}

// follow reads on from what is in the book until something is wrong with it.
func (b *bucket) follow(ctx context.Context) error {
	t, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	for b.read() < t.target {
		if err := t.next(jetstream.NextMaxWait(callTimeout)); err != nil {
			return fmt.Errorf("reading the records: %w", err)
		}
	}
	b.setFollowing(true, nil)
	ctx, stop := context.WithCancelCause(ctx)
	var prober sync.WaitGroup
	defer func() {
		stop(nil)
		prober.Wait()
	}()
	prober.Go(func() { b.probe(ctx, stop) }) // ends with ctx
	for {
		if err := t.next(jetstream.NextContext(ctx)); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("following the records: %w", err)
		}
	}
}

// probe asks every second whether the book is in step. A leader that does not answer says nothing
// about the tail; a leader that is ahead of it does. So does a lost connection: the server may have
// forgotten the consumer.
func (b *bucket) probe(ctx context.Context, giveUp context.CancelCauseFunc) {
	lost := b.js.Conn().StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer b.js.Conn().RemoveStatusListener(lost)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
			giveUp(errDisconnected)
			return
		case <-tick.C:
		}
		err := b.sync(ctx)
		if errors.Is(err, errBehind) || errors.Is(err, errRestored) {
			giveUp(err)
			return
		}
	}
}

// tail is one consumer of a bucket's stream. It is pulled, so that two records are never handled at
// once, and it is not healed but replaced.
type tail struct {
	bucket    *bucket
	stream    jetstream.Stream
	name      string
	it        jetstream.MessagesContext
	target    uint64 // in step from here on
	delivered uint64
}

func (b *bucket) begin(ctx context.Context) (*tail, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, "KV_"+b.name)
	if err != nil {
		return nil, fmt.Errorf("finding the records: %w", err)
	}
	b.recognise(s.CachedInfo())
	c, err := s.CreateConsumer(ctx, b.consumer())
	if err != nil {
		return nil, fmt.Errorf("reading the records: %w", err)
	}
	t := &tail{bucket: b, stream: s, name: c.CachedInfo().Name, target: s.CachedInfo().State.LastSeq}
	if c.CachedInfo().NumPending == 0 {
		b.advance(t.target)
	}
	t.it, err = c.Messages(jetstream.PullHeartbeat(quiet), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		t.delete()
		return nil, fmt.Errorf("reading the records: %w", err)
	}
	return t, nil
}

func (b *bucket) consumer() jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubjects:    []string{"$KV." + b.name + ".>"},
		InactiveThreshold: 30 * time.Second,
		MemoryStorage:     true,
		Replicas:          1,
	}
	if read := b.read(); read > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, read+1
	}
	return c
}

// recognise forgets the book if it was read from another stream than this, or from a later state of
// it: a backup was put back.
func (b *bucket) recognise(now *jetstream.StreamInfo) {
	b.weigh(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.created.Equal(now.Created) || b.newest > now.State.LastSeq {
		if b.newest > 0 {
			b.log.Warn("the directory's records are not those that were read before: reading them anew")
		}
		b.book.reset()
		b.created, b.applied, b.newest = now.Created, 0, 0
	}
}

// next takes in one record.
func (t *tail) next(opt jetstream.NextOpt) error {
	msg, err := t.it.Next(opt)
	if err != nil {
		return err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if t.delivered++; meta.Sequence.Consumer != t.delivered {
		return errGap
	}
	value := msg.Data()
	if h := msg.Headers(); h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != "" {
		value = nil
	}
	t.bucket.hear(strings.TrimPrefix(msg.Subject(), "$KV."+t.bucket.name+"."), value, meta.Sequence.Stream)
	reached := meta.Sequence.Stream
	if meta.NumPending == 0 {
		reached = max(reached, t.target) // the last of them may have been removed by hand
	}
	t.bucket.advance(reached)
	return nil
}

func (t *tail) end() {
	t.it.Stop()
	t.delete()
}

// delete is a courtesy: the server forgets a consumer that nobody pulls from.
func (t *tail) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_ = t.stream.DeleteConsumer(ctx, t.name)
}

// read is how far the book has been read.
func (b *bucket) read() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applied
}

func (b *bucket) advance(reached uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reached > b.applied {
		b.applied = reached
		b.newest = max(b.newest, reached)
		b.announceLocked()
	}
}
