package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type logger = *slog.Logger

// Broker is the open log.
type Broker struct {
	// Fixed after construction.
	cfg          Config
	budget       budget
	log          logger
	installation string
	lock         *os.File
	engine       *engine
	lives        *lives
	window       *window
	space        *space
	acks         *acks
	tail         *tail
	pulse        *pulse
	direct       *direct
	tombstones   *tombstones
	onDisk       *onDisk
	carried      *carried

	counts counts

	// closing ends when Close begins.
	closing      context.Context
	beginClosing context.CancelFunc
	closed       func() error
}

// Open opens the log in c.Dir, or makes it. It begins a new life of the log if it cannot prove that
// all of the last one survived.
func Open(ctx context.Context, c Config) (*Broker, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	b := &Broker{cfg: c, log: c.Logger, onDisk: newOnDisk()}
	b.closing, b.beginClosing = context.WithCancel(context.Background())
	b.closed = sync.OnceValue(b.close)
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), b.abandon())
	}
	return b, nil
}

func (b *Broker) open(ctx context.Context) (err error) {
	if b.lock, err = lockDir(b.cfg.Dir); err != nil {
		return err
	}
	if b.budget, err = b.cfg.share(); err != nil {
		return err
	}
	if b.engine, err = startEngine(b.cfg); err != nil {
		return err
	}
	if b.lives, err = openLives(ctx, b.engine.js, b.cfg, b.budget); err != nil {
		return err
	}
	if b.installation, err = b.lives.installation(ctx); err != nil {
		return err
	}
	if b.tombstones, err = openTombstones(ctx, b.engine.js, b.budget); err != nil {
		return err
	}
	if err := b.live(ctx); err != nil {
		return err
	}
	return b.begin(ctx)
}

// live goes on in the last life, or in a new one.
func (b *Broker) live(ctx context.Context) error {
	reason, err := b.lives.doubt(ctx)
	if err != nil {
		return err
	}
	if reason != nil {
		b.log.Warn("the log begins a new life: it cannot prove that the last one is whole", "reason", reason)
		if err := b.lives.replace(ctx); err != nil {
			return err
		}
	}
	if err := b.lives.resume(ctx); err != nil {
		return err
	}
	if err := b.engine.bound(ctx, b.budget.total); err != nil {
		return err
	}
	now := b.lives.current.Load()
	if time.Since(now.Began) < time.Minute {
		// A power failure must not take the list of lives and the installation's id.
		if err := b.engine.sync(); err != nil {
			return err
		}
	}
	// The clean stop is taken back on the disk before anything is acknowledged.
	return b.cfg.witness(now.Epoch, b.lives.kept.Load().last).writeDurably(b.cfg.Dir)
}

// begin starts what runs while the broker is open.
func (b *Broker) begin(ctx context.Context) (err error) {
	b.space = &space{limit: b.budget.log - b.budget.reserve}
	b.space.measured(b.lives.kept.Load().bytes, 0)
	end := b.lives.kept.Load().last
	b.window = newWindow(b.cfg.WindowBytes)
	b.window.reset(end, end)
	if b.direct, err = newDirect(b.engine.read); err != nil {
		return err
	}
	if b.carried, err = carryIDs(ctx, b.lives, b.direct); err != nil {
		return err
	}
	if b.acks, err = newAcks(b.engine.publish); err != nil {
		return err
	}
	if b.pulse, err = startPulse(ctx, b); err != nil {
		return err
	}
	if b.tail, err = newTail(b); err != nil {
		return err
	}
	return b.counts.register(b)
}

// Installation is the id of this directory and log, made once: 8 lower-case base32 characters.
func (b *Broker) Installation() string { return b.installation }

// Epoch names the log's current life.
func (b *Broker) Epoch() string { return b.lives.current.Load().Epoch }

// JetStream is for buckets that live in the same store. Its calls time out after a second. Each
// bucket must be bounded by BucketBytes.
func (b *Broker) JetStream() jetstream.JetStream { return b.engine.js }

// BucketBytes is the bound for each of the directory's two buckets. The store keeps that room for four
// of them, whatever publishers do: the others are for the shelf and the events.
func (b *Broker) BucketBytes() int64 { return b.budget.bucket }
