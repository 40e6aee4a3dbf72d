package embedded

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// question is asked once for all who wait for its answer.
type question struct {
	answered chan struct{}
	err      error // written before answered is closed
}

// sync returns when the book holds everything that was stored before sync was called. Callers that
// come while the leader is being asked share the next question.
func (b *bucket) sync(ctx context.Context) error {
	b.mu.Lock()
	q := b.waiting
	first := q == nil
	if first {
		q = &question{answered: make(chan struct{})}
		b.waiting = q
	}
	b.mu.Unlock()
	if first {
		b.ask(q)
		return q.err
	}
	select {
	case <-q.answered:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask waits for its turn, lets nobody join any more, and only then asks: the answer is later than
// every call of sync that waits for it. It serves all of them, so no single caller's context ends it.
func (b *bucket) ask(q *question) {
	b.turn <- struct{}{}
	b.mu.Lock()
	b.waiting = nil
	b.mu.Unlock()
	q.err = b.catchUp(b.life)
	b.judge(q.err) // before the turn is over, so that an older answer never counts after a newer one
	<-b.turn
	close(q.answered)
}

// catchUp asks the leader how far the records go, and waits until they are in the book.
func (b *bucket) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	newest := b.latest()
	s, err := b.js.Stream(ctx, "KV_"+b.name)
	if err != nil {
		return fmt.Errorf("asking how far the records go: %w", err)
	}
	now := s.CachedInfo()
	b.weigh(now)
	return b.await(ctx, now, newest)
}

func (b *bucket) await(ctx context.Context, now *jetstream.StreamInfo, newest uint64) error {
	for {
		b.mu.Lock()
		created, applied, changed := b.created, b.applied, b.changed
		b.mu.Unlock()
		switch {
		case !created.Equal(now.Created) || newest > now.State.LastSeq:
			return errRestored
		case applied >= now.State.LastSeq:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errBehind
		}
	}
}

func (b *bucket) latest() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}
