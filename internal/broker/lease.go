package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Lease is what each node writes into the log every second. Whoever hears it knows that the node
// lives, and the node itself that it can hear.
type Lease struct {
	Node     string    `json:"node"`
	Started  time.Time `json:"started"`
	Sessions int       `json:"sessions"`
}

// pulse writes the lease, measures the store and renews the witness, every second.
type pulse struct {
	b       *Broker
	started time.Time
	// heard is when the tail last heard this node's own lease, in nanoseconds; 0: never.
	heard atomic.Int64

	stop context.CancelFunc
	done sync.WaitGroup
}

func startPulse(ctx context.Context, b *Broker) (*pulse, error) {
	p := &pulse{b: b, started: time.Now().UTC()}
	// The first lease is there before anybody reads: reads look at it to learn how far a replica is.
	if _, err := p.beat(ctx, *b.lives.current.Load()); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.done.Go(func() { p.run(run) }) // until close
	return p, nil
}

func (p *pulse) close() {
	p.stop()
	p.done.Wait()
}

func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(p.b.cfg.leaseGap)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.once(ctx)
		}
	}
}

func (p *pulse) once(ctx context.Context) {
	p.b.acks.expire(time.Now().Add(-publishTimeout), ErrUnavailable)
	now := *p.b.lives.current.Load()
	last, err := p.beat(ctx, now)
	if err == nil {
		err = p.b.cfg.witness(now.Epoch, last).write(p.b.cfg.Dir)
	}
	if err == nil {
		err = p.b.space.measure(ctx, p.b.lives)
	}
	if err != nil && ctx.Err() == nil {
		p.b.log.Warn("the log's pulse missed a beat", "error", err)
	}
}

// beat writes the lease into a life of the log and returns its position.
func (p *pulse) beat(ctx context.Context, now life) (uint64, error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	lease, err := json.Marshal(Lease{Node: p.b.cfg.Node, Started: p.started, Sessions: p.b.cfg.Sessions()})
	if err != nil {
		return 0, fmt.Errorf("writing the lease: %w", err)
	}
	seq, err := p.b.acks.write(ctx, p.b.space, &nats.Msg{Subject: now.subject(prefixLease + encodeID(p.b.cfg.Node)), Data: lease})
	if err != nil {
		return 0, fmt.Errorf("writing the lease: %w", err)
	}
	return seq, nil
}

// hear is called by the tail for every lease.
func (p *pulse) hear(l *Lease) {
	if l.Node == p.b.cfg.Node && l.Started.Equal(p.started) {
		p.heard.Store(time.Now().UnixNano())
	}
}

// Heard is when the tail last heard this node's own lease; zero if it never has.
func (b *Broker) Heard() time.Time {
	if n := b.pulse.heard.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
