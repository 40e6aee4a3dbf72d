package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/api"
)

// Events keeps what happened to machines, for people and their programs: a stream bounded by age and
// bytes, from which the oldest goes first. Tell never waits; what happens faster than it can be stored
// is counted, and the count is an event itself.
//
// Events of one machine lie in one shard and keep their order. Those of a shard that come close
// together share a record, so that a storm of connections costs few writes.
type Events struct {
	// Fixed after construction.
	js     jetstream.JetStream
	direct *direct
	acks   *acks
	node   string
	log    logger
	stored atomic.Int64
	lost   atomic.Int64
	wake   chan struct{}
	stop   context.CancelFunc
	done   sync.WaitGroup
	// unregister takes the metrics back.
	unregister func()

	mu sync.Mutex
	// Guarded by mu.
	queue   eventRecords
	missing uint64        // lost since the last event that said so
	changed chan struct{} // closed when something has been stored
}

const (
	eventStream = "FLEETLINE_events"
	eventRoot   = "fleetline.events."
	eventShards = 16
	// eventBytes bounds the stream. Its room is one of those that are kept for the directory's buckets.
	eventBytes = 64 * mib
	eventAge   = 7 * 24 * time.Hour
	// eventQueue is how many events wait at most to be stored: more than a fleet on one small host
	// makes in a storm.
	eventQueue = 1 << 15
	// eventGather is how long events are gathered for one write.
	eventGather = 50 * time.Millisecond
	// eventFlush bounds the storing of what is left when Events is closed.
	eventFlush = 3 * time.Second
	// eventRepeat is within what time nodes that tell the same thing once are told apart.
	eventRepeat = time.Minute
)

// OpenEvents opens the events of b's installation, or makes the stream. Close comes before b's.
func OpenEvents(ctx context.Context, b *Broker) (*Events, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	_, err := b.engine.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        eventStream,
		Description: "what happened to machines",
		Subjects:    []string{eventRoot + "*"},
		MaxBytes:    min(eventBytes, b.budget.bucket),
		MaxAge:      eventAge,
		Discard:     jetstream.DiscardOld,
		Duplicates:  2 * eventRepeat,
		AllowDirect: true,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the events: %w", err)
	}
	e := &Events{
		js: b.engine.js, direct: b.direct, node: b.cfg.Node, log: b.log,
		wake: make(chan struct{}, 1), changed: make(chan struct{}), queue: newEventRecords(),
	}
	if e.acks, err = newAcks(b.engine.publish); err != nil {
		return nil, fmt.Errorf("opening the events: %w", err)
	}
	if err := e.register(b.cfg.Registerer); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.done.Go(func() { e.run(run) }) // until Close
	return e, nil
}

func (e *Events) register(r prometheus.Registerer) error {
	all := []prometheus.Collector{
		counter("events_total", "Events stored.", &e.stored, nil),
		counter("events_lost_total", "Events that came faster than they could be stored, or that the store did not take.", &e.lost, nil),
	}
	e.unregister = func() {
		for _, c := range all {
			r.Unregister(c)
		}
	}
	if r == nil {
		e.unregister = func() {}
		return nil
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// Close stores what is left, for a while, and ends.
func (e *Events) Close() {
	e.stop()
	e.done.Wait()
	e.acks.close()
	e.unregister()
}

// Node names this process in events.
func (e *Events) Node() string { return e.node }

// Tell takes an event in. It never blocks.
func (e *Events) Tell(ev api.Event) {
	ev.Node = e.node
	e.mu.Lock()
	if e.queue.events >= eventQueue {
		e.missing++
		e.lost.Add(1)
	} else {
		e.queue.add(ev)
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *Events) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), eventFlush)
			defer cancel()
			e.store(last, e.take())
			return
		case <-e.wake:
		}
		pause(ctx, eventGather)
		e.store(ctx, e.take())
	}
}

// take is what waits, with what is known to be missing before it.
func (e *Events) take() []*eventRecord {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.missing > 0 {
		e.queue.add(api.Event{Type: api.EventsLost, Time: time.Now().UTC(), Node: e.node, Lost: e.missing})
		e.missing = 0
	}
	return e.queue.take()
}

// store writes records and waits until they lie in the stream.
func (e *Events) store(ctx context.Context, records []*eventRecord) {
	if len(records) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	for _, r := range records {
		r.sent, r.err = e.acks.send(ctx, r.message(), func(ack, error) {})
	}
	for _, r := range records {
		if r.err == nil {
			_, r.err = r.sent.wait(ctx)
		}
		e.note(r)
		e.queue.release(r)
	}
	e.acks.expire(time.Now().Add(-publishTimeout), ErrUnavailable)
	e.announce()
}

func (e *Events) note(r *eventRecord) {
	if r.err == nil {
		e.stored.Add(int64(r.events))
		return
	}
	e.log.Warn("storing events", "events", r.events, "err", r.err)
	e.lost.Add(int64(r.events))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missing += r.events // told with the next event that is stored
}

// announce wakes those who wait for events.
func (e *Events) announce() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}
