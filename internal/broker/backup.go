package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Part is a piece of a backup: the first of a stream carries how it is configured, the others what it
// holds.
type Part struct {
	Stream string
	Config []byte // JSON; set in the first part alone
	Data   []byte
}

const (
	// snapshotPause is how long a snapshot may bring nothing.
	snapshotPause = 30 * time.Second
	// restorePause is how long one chunk may take to be put back; the last has the stream rebuilt.
	restorePause = 2 * time.Minute
)

// Backup hands over all that the store holds, stream after stream, while everything goes on. Each
// stream is as it was at one moment; those that follow are later. It fails if a new life of the log
// begins meanwhile.
func Backup(ctx context.Context, b *Broker, add func(Part) error) error {
	epoch := b.Epoch()
	list, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	streams := b.engine.js.StreamNames(list)
	var names []string
	for name := range streams.Name() {
		names = append(names, name)
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("listing streams: %w", unavailable(err))
	}
	for _, name := range names {
		if err := b.engine.snapshot(ctx, name, add); err != nil {
			return fmt.Errorf("backing up %s: %w", name, err)
		}
	}
	if b.Epoch() != epoch {
		return errors.New("backing up: a new life of the log has begun meanwhile")
	}
	return nil
}

// snapshotAnswer is what JetStream says before it sends the chunks.
type snapshotAnswer struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
	Error  *struct {
		Description string `json:"description"`
	} `json:"error"`
}

func (e *engine) snapshot(ctx context.Context, name string, add func(Part) error) error {
	inbox := e.read.NewRespInbox()
	sub, err := e.read.SubscribeSync(inbox)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var begun snapshotAnswer
	request := map[string]any{"deliver_subject": inbox, "no_consumers": true}
	if err := e.askAPI(ctx, "STREAM.SNAPSHOT."+name, request, &begun); err != nil {
		return err
	}
	if begun.Error != nil {
		return fmt.Errorf("%w: %s", ErrUnavailable, begun.Error.Description)
	}
	config, err := json.Marshal(map[string]json.RawMessage{"config": begun.Config, "state": begun.State})
	if err == nil {
		err = add(Part{Stream: name, Config: config})
	}
	for err == nil {
		var last bool
		if last, err = e.takeChunk(ctx, sub, name, add); last {
			return err
		}
	}
	return err
}

func (e *engine) takeChunk(ctx context.Context, sub *nats.Subscription, name string, add func(Part) error) (last bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotPause)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return true, unavailable(err)
	}
	if len(m.Data) == 0 {
		if status := m.Header.Get("Status"); status != "" && status != "204" {
			return true, fmt.Errorf("%w: the snapshot ended with %s %s", ErrUnavailable, status, m.Header.Get("Description"))
		}
		return true, nil
	}
	if err := add(Part{Stream: name, Data: m.Data}); err != nil {
		return true, err
	}
	if m.Reply != "" { // all but the last
		err = e.read.Publish(m.Reply, nil)
	}
	return false, err
}

func (e *engine) askAPI(ctx context.Context, what string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	m, err := e.read.RequestWithContext(ctx, "$JS.API."+what, body)
	if err != nil {
		return unavailable(err)
	}
	return json.Unmarshal(m.Data, answer)
}

// Restore puts the parts of a backup into the empty folder dir. next brings one after the other, and
// none at the end. Whoever opens the folder then begins a new life of the log, for what was acknowledged
// after the backup is not there.
func Restore(ctx context.Context, c Config, next func() (*Part, error)) error {
	c, err := c.withDefaults()
	if err != nil {
		return fmt.Errorf("restoring the log: %w", err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return fmt.Errorf("restoring the log: %w", err)
	}
	defer lock.Close()
	e, err := startEngine(c)
	if err != nil {
		return fmt.Errorf("restoring the log: %w", err)
	}
	err = e.restoreAll(ctx, next)
	e.stop()
	if err == nil {
		err = e.sync()
	}
	if err != nil {
		return fmt.Errorf("restoring the log: %w", err)
	}
	return nil
}

// restoring puts streams back, one after the other.
type restoring struct {
	engine  *engine
	stream  string
	deliver string // where its chunks go; empty: none is begun
}

func (e *engine) restoreAll(ctx context.Context, next func() (*Part, error)) error {
	r := &restoring{engine: e}
	if err := r.all(ctx, next); err != nil {
		// The server goes on making a stream that is not ended, also while it stops.
		_ = r.finish(context.WithoutCancel(ctx))
		return err
	}
	return r.finish(ctx)
}

func (r *restoring) all(ctx context.Context, next func() (*Part, error)) error {
	for {
		p, err := next()
		if err != nil || p == nil {
			return err
		}
		if err := r.take(ctx, p); err != nil {
			return err
		}
	}
}

func (r *restoring) take(ctx context.Context, p *Part) (err error) {
	switch {
	case p.Config != nil:
		if err := r.finish(ctx); err != nil {
			return err
		}
		r.stream = p.Stream
		r.deliver, err = r.engine.beginRestore(ctx, p)
		return err
	case p.Stream != r.stream || r.deliver == "":
		return errors.New("the parts are out of order")
	}
	return r.engine.giveChunk(ctx, r.deliver, r.stream, p.Data)
}

// finish ends the stream that was begun last, once.
func (r *restoring) finish(ctx context.Context) error {
	deliver := r.deliver
	r.deliver = ""
	if deliver == "" {
		return nil
	}
	return r.engine.giveChunk(ctx, deliver, r.stream, nil)
}

func (e *engine) beginRestore(ctx context.Context, p *Part) (deliver string, err error) {
	var a struct {
		Deliver string `json:"deliver_subject"`
		Error   *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := e.askAPI(ctx, "STREAM.RESTORE."+p.Stream, json.RawMessage(p.Config), &a); err != nil {
		return "", err
	}
	if a.Error != nil {
		return "", fmt.Errorf("putting back %s: %s", p.Stream, a.Error.Description)
	}
	return a.Deliver, nil
}

// giveChunk hands over one chunk; an empty one ends the stream.
func (e *engine) giveChunk(ctx context.Context, deliver, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, restorePause)
	defer cancel()
	m, err := e.read.RequestWithContext(ctx, deliver, data)
	if err != nil {
		return fmt.Errorf("putting back %s: %w", name, unavailable(err))
	}
	var a snapshotAnswer
	if len(m.Data) > 0 && json.Unmarshal(m.Data, &a) == nil && a.Error != nil {
		return fmt.Errorf("putting back %s: %s", name, a.Error.Description)
	}
	return nil
}
