package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
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
	queue   []api.Event
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
	// eventRecord is about how large a record of several events gets.
	eventRecord = 16 << 10
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
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
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
	if len(e.queue) >= eventQueue {
		e.missing++
		e.lost.Add(1)
	} else {
		e.queue = append(e.queue, ev)
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
func (e *Events) take() []api.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.queue
	e.queue = nil
	if e.missing > 0 {
		all = append(all, api.Event{Type: api.EventsLost, Time: time.Now().UTC(), Node: e.node, Lost: e.missing})
		e.missing = 0
	}
	return all
}

// batch is one record on its way.
type batch struct {
	shard  uint32
	events uint64
	once   string
	body   []byte
	sent   *pending
	err    error
}

// store writes events and waits until they lie in the stream.
func (e *Events) store(ctx context.Context, all []api.Event) {
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	batches := gather(all)
	for _, b := range batches {
		m := &nats.Msg{Subject: fmt.Sprint(eventRoot, b.shard), Data: b.body}
		if b.once != "" {
			m.Header = nats.Header{jetstream.MsgIDHeader: {b.once}}
		}
		b.sent, b.err = e.acks.send(ctx, m, func(ack, error) {})
	}
	for _, b := range batches {
		if b.err == nil {
			_, b.err = b.sent.wait(ctx)
		}
		e.note(b)
	}
	e.acks.expire(time.Now().Add(-publishTimeout), ErrUnavailable)
	e.announce()
}

func (e *Events) note(b *batch) {
	if b.err == nil {
		e.stored.Add(int64(b.events))
		return
	}
	e.log.Warn("storing events", "events", b.events, "err", b.err)
	e.lost.Add(int64(b.events))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missing += b.events // told with the next event that is stored
}

// announce wakes those who wait for events.
func (e *Events) announce() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// gather puts events of one shard that follow each other into one record. What other nodes may tell
// too gets a record and a name of its own, by which the stream knows it again.
func gather(all []api.Event) (batches []*batch) {
	open := make(map[uint32]*batch)
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	for _, ev := range all {
		line.Reset()
		if err := enc.Encode(ev); err != nil {
			continue // texts and numbers: it does not happen
		}
		shard, once := shardOf(ev.MachineID), onceOf(ev)
		b := open[shard]
		if b == nil || once != "" || len(b.body)+line.Len() > eventRecord {
			b = &batch{shard: shard, once: once}
			batches = append(batches, b)
			open[shard] = b
			if once != "" {
				delete(open, shard)
			}
		}
		b.events++
		b.body = append(b.body, line.Bytes()...)
	}
	return batches
}

func shardOf(machine string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(machine))
	return h.Sum32() % eventShards
}

// onceOf names what every node of an installation tells.
func onceOf(ev api.Event) string {
	if ev.Type != api.MachineDeleted {
		return ""
	}
	return fmt.Sprintf("%s %s %d", ev.Type, ev.MachineID, ev.Time.Unix()/int64(eventRepeat/time.Second))
}
