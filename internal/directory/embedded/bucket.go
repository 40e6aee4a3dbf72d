package embedded

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// book is what a bucket's records are read into.
type book interface {
	// apply takes in a record, unless a later one of that key has been taken in. Without a value
	// the record was removed. isOwn is one that the leader has taken from this process.
	apply(key string, value []byte, revision uint64, isOwn bool)
	// reset forgets everything.
	reset()
}

// bucket keeps a book in step with a key-value bucket.
type bucket struct {
	// Fixed after construction.
	name string
	js   jetstream.JetStream
	kv   jetstream.KeyValue
	book book
	feed *feed.Feed
	log  *slog.Logger
	room int64           // bytes, beyond which nothing new is taken in
	life context.Context // ends with the directory
	sink func(bucket string) error

	live    atomic.Bool
	weighed atomic.Int64 // bytes that the leader told of, last
	bytes   atomic.Int64 // and what has been written since

	// turn is held by whoever asks the leader.
	turn chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	created    time.Time     // of the stream that the book was read from
	applied    uint64        // everything up to here is in the book
	newest     uint64        // the latest of anything in the book, this node's own writes included
	changed    chan struct{} // closed when applied or live changes
	unanswered int           // questions in a row
	following  bool          // there is a tail that has caught up once
	err        error         // why it is not live
	waiting    *question     // the next one to be asked
	// asked are values that update has asked the leader to take, by key. One that comes through the tail
	// before the answer has been taken, too.
	asked map[string][]byte
}

// harden returns when what was written is on the disk. It comes after readers and watchers have seen
// the change: they need not wait, only whoever is promised that it lasts.
func (b *bucket) harden() error {
	if b.sink == nil {
		return nil
	}
	runtime.Gosched() // a watcher that was woken would wait for this processor until the disk is asked
	if err := b.sink(b.name); err != nil {
		b.log.Error("a change is in force, but may not outlive a power failure", "err", err)
		return directory.ErrUnavailable
	}
	return nil
}

// openBucket makes the bucket, or changes it to what is wanted now.
func openBucket(ctx, life context.Context, c Config, name string, book book, feed *feed.Feed) (*bucket, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	size := c.BucketBytes
	if s, err := c.JetStream.Stream(ctx, "KV_"+name); err == nil {
		size = max(size, s.CachedInfo().Config.MaxBytes)
	}
	kv, err := c.JetStream.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:   name,
		History:  1,
		MaxBytes: size,
		Storage:  jetstream.FileStorage,
		Replicas: max(1, c.Replicas),
	})
	if err != nil {
		return nil, fmt.Errorf("making bucket %s: %w", name, err)
	}
	return &bucket{
		name: name, js: c.JetStream, kv: kv, book: book, feed: feed, log: c.Logger.With("bucket", name),
		room: size - size/10, life: life, sink: c.Sync,
		turn: make(chan struct{}, 1), changed: make(chan struct{}), err: errLoading, asked: make(map[string][]byte),
	}, nil
}

// errConflict means that the record is not the one that was read.
var errConflict = errors.New("the record has changed")

// update stores value under key if the record there is still that of revision; zero: none. Readers
// see it before update returns.
func (b *bucket) update(ctx context.Context, key string, value []byte, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	origin := b.asking(key, value)
	defer b.forget(key)
	stored, err := b.kv.Update(ctx, key, value, revision)
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return errConflict
	case err != nil:
		return unavailable(err)
	}
	b.take(origin, key, value, stored)
	return nil
}

// change is a value to be stored under key if the record there is still that of revision.
type change struct {
	key      string
	value    []byte
	revision uint64
}

// updateAll is update for many, and does not wait for one before the next is sent, which costs both
// ends a fraction of what as many calls do. It returns one failure, a conflict only if there is no
// other; the rest may have been stored.
func (b *bucket) updateAll(ctx context.Context, changes []change) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	origin := b.origin()
	sent := make([]jetstream.PubAckFuture, 0, len(changes))
	var failure, conflict error
	for _, c := range changes {
		f, err := b.js.PublishMsgAsync(&nats.Msg{Subject: "$KV." + b.name + "." + c.key, Data: c.value},
			jetstream.WithExpectLastSequencePerSubject(c.revision))
		if err != nil {
			failure = unavailable(err)
			break
		}
		sent = append(sent, f)
	}
	for i, f := range sent {
		select {
		case ack := <-f.Ok():
			b.take(origin, changes[i].key, changes[i].value, ack.Sequence)
		case err := <-f.Err():
			if isConflict(err) {
				conflict = errConflict
			} else {
				failure = unavailable(err)
			}
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
	}
	return cmp.Or(failure, conflict)
}

// isConflict tells whether the server refused a message because the record is another by now.
func isConflict(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// origin names the stream that revisions count in.
func (b *bucket) origin() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.created
}

// asking notes that the leader is asked to take a value, and names the stream that revisions count in.
func (b *bucket) asking(key string, value []byte) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[key] = value
	return b.created
}

func (b *bucket) forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.asked, key)
}

// hear takes in what the tail brings.
func (b *bucket) hear(key string, value []byte, revision uint64) {
	b.mu.Lock()
	asked, isAsked := b.asked[key]
	b.mu.Unlock()
	b.book.apply(key, value, revision, isAsked && bytes.Equal(asked, value))
}

// take lets readers see what this node has stored, unless the book is by now that of another stream.
func (b *bucket) take(origin time.Time, key string, value []byte, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes.Add(int64(len(key) + len(value) + overhead))
	if origin.Equal(b.created) {
		b.newest = max(b.newest, revision)
		b.book.apply(key, value, revision, true)
	}
}

// overhead is what a record takes in the store beside its key and value.
const overhead = 128

// isFull tells whether only deletions may be stored from here on. What this node has written since
// the leader was asked may have replaced older records, so the leader is asked before that is said.
func (b *bucket) isFull(ctx context.Context) bool {
	if b.bytes.Load() < b.room {
		return false
	}
	_ = b.sync(ctx) // if it does not answer, writing will tell
	return b.bytes.Load() >= b.room
}

// weigh takes note of how much is stored.
func (b *bucket) weigh(now *jetstream.StreamInfo) {
	stored := int64(now.State.Bytes)
	if was := b.weighed.Swap(stored); was < b.room && stored >= b.room {
		b.log.Warn("the directory's store is full: only deletions are stored", "bytes", stored, "room", b.room)
	}
	b.bytes.Store(stored)
}

// unavailable hides nothing of err, and lets callers find out that it is the directory's.
func unavailable(err error) error { return fmt.Errorf("%w: %w", directory.ErrUnavailable, err) }

// isLive tells whether the book is in step with the bucket, as far as was known a moment ago.
func (b *bucket) isLive() bool { return b.live.Load() }

func (b *bucket) waitLive(ctx context.Context) error {
	for {
		b.mu.Lock()
		changed, err := b.changed, b.err
		b.mu.Unlock()
		if b.isLive() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// setFollowing says whether there is a tail; err is why not.
func (b *bucket) setFollowing(is bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.following = is
	b.setLiveLocked(err)
}

// patience is how many questions in a row may stay unanswered before nothing is live. Whoever asked
// them is told at once.
const patience = 2

// judge goes by what came of asking the leader. Without a tail nothing is live, whatever it said.
func (b *bucket) judge(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.unanswered = 0
	} else if b.unanswered++; b.unanswered < patience {
		return
	}
	if b.following {
		b.setLiveLocked(err)
	}
}

// setLiveLocked reports a change of state, once.
func (b *bucket) setLiveLocked(err error) {
	b.err = err
	if was := b.live.Swap(err == nil); was == (err == nil) {
		return
	}
	b.announceLocked()
	if err == nil {
		b.feed.Push(directory.Event{Kind: directory.Live})
		return
	}
	b.feed.Push(directory.Event{Kind: directory.Lost, Err: unavailable(err)})
	if b.life.Err() == nil {
		b.log.Warn("the directory does not hear its records", "err", err)
	}
}

func (b *bucket) announceLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}
