package fleetline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
)

// Client holds the line of one machine. It is made by Connect and must be closed.
//
// Next, Messages and Ack are for one goroutine at a time; everything else is safe for many.
type Client struct {
	// Fixed after construction.
	cfg    Config
	log    *slog.Logger
	inbox  *inbox
	keeper *keeper
	dialer *dialer
	stop   context.CancelCauseFunc
	wg     sync.WaitGroup

	admitted chan struct{} // closed once the gateway has let the machine in
	ended    chan struct{} // closed once err is set

	// Owned by the goroutine that connects.
	identity *identity

	mu     sync.Mutex
	status Status
	err    error
}

// Connect opens the line to the gateway at addr (host, host:port, ws(s):// or http(s)://; without
// a scheme it is wss, or ws on a loopback address) and returns once the gateway has let the machine
// in. Until then it goes on trying; what stops it is the end of ctx, or a verdict.
//
// ctx bounds only the connecting. Afterwards the Client lives until Close or a verdict.
func Connect(ctx context.Context, addr string, cfg Config) (*Client, error) {
	c, err := newClient(addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to a gateway: %w", err)
	}
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	c.stop = stop
	c.wg.Go(func() { c.run(life) })                    // ends with life, or ends life
	c.wg.Go(func() { c.keeper.follow(life, c.inbox) }) // ends with life
	select {
	case <-c.admitted:
		return c, nil
	case <-c.ended:
		_ = c.Close()
		return nil, c.Err()
	case <-ctx.Done():
		last := c.Status().Reason
		_ = c.Close()
		return nil, gaveUp(context.Cause(ctx), last)
	}
}

// gaveUp says why nobody waits any more, and why there was something to wait for.
func gaveUp(cause, last error) error {
	if last == nil {
		return fmt.Errorf("connecting to a gateway: %w", cause)
	}
	return fmt.Errorf("connecting to a gateway: %w (last attempt: %w)", cause, last)
}

func newClient(addr string, cfg Config) (*Client, error) {
	enrol := cfg.State != nil || cfg.Machine.HWID != ""
	if cfg.State == nil {
		cfg.State = new(MemoryState)
	}
	url, err := Endpoint(addr)
	if err != nil {
		return nil, err
	}
	saved, err := cfg.State.Load()
	if err != nil {
		return nil, fmt.Errorf("loading the machine's state: %w", err)
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(saved); err != nil {
		return nil, err
	}
	c := &Client{
		cfg:      cfg,
		log:      cfg.Logger,
		inbox:    newInbox(saved.Position),
		keeper:   &keeper{store: cfg.State, log: cfg.Logger, state: saved, stored: saved},
		dialer:   newDialer(url, cfg),
		admitted: make(chan struct{}),
		ended:    make(chan struct{}),
	}
	c.identity = &identity{cfg: &c.cfg, keeper: c.keeper, inbox: c.inbox, enrol: enrol}
	if enrol {
		err = c.keeper.change(func(s *State) { s.HWID = chooseHWID(cfg.Machine.HWID, s.HWID) })
	}
	return c, err
}

// Next returns the next message, waiting for one if need be. It fails with ctx's cause when ctx
// ends, with a *Refusal once the gateway has spoken a verdict, and with ErrClosed after Close.
//
// Asking for a message says that the one before has been processed: only now does the machine's
// position move past it, and only what has been moved past is not delivered again after a restart.
// So a program that dies while it handles a message is given it again. Config.State is written at
// most once a second, and by Close: a crash may bring back the messages of the last second too.
func (c *Client) Next(ctx context.Context) (Message, error) {
	for {
		c.inbox.done()
		it, err := c.take(ctx)
		if err != nil {
			return Message{}, err
		}
		if it.gap == nil {
			return it.msg, nil
		}
		c.cfg.OnGap(*it.gap)
	}
}

func (c *Client) take(ctx context.Context) (item, error) {
	for {
		select {
		case <-c.ended: // what is queued is not given any more: a verdict counts at once
			return item{}, c.Err()
		default:
		}
		if ctx.Err() != nil {
			return item{}, context.Cause(ctx)
		}
		if it, ok := c.inbox.take(); ok {
			return it, nil
		}
		select {
		case <-c.inbox.ready:
		case <-c.ended:
		case <-ctx.Done():
		}
	}
}

// Messages ranges over Next until that fails; Err then says why, and is nil if it was ctx that
// ended. Leaving the loop in the middle does not count as asking for the next message: call Ack
// before it if the last one has been processed.
func (c *Client) Messages(ctx context.Context) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for {
			msg, err := c.Next(ctx)
			if err != nil || !yield(msg) {
				return
			}
		}
	}
}

// Ack says that the message taken last has been processed, without asking for the next. It is of
// no use after Close.
func (c *Client) Ack() { c.inbox.done() }

// Status is the state of the line now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Err is why the Client ended: a *Refusal or ErrClosed; nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close says goodbye to the gateway (for a second at most), saves the position and waits for
// everything that the Client started. Messages that have not been processed are delivered to the
// next Client with the same State. Closing again does nothing. The error is that of saving.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	c.wg.Wait()
	return c.keeper.lastError()
}

func (c *Client) setStatus(s Status) {
	c.mu.Lock()
	c.status = s
	c.mu.Unlock()
	c.cfg.OnStatus(s)
}

// finish makes err the Client's end, once everything that depends on it has been stored.
func (c *Client) finish(err error) {
	if errors.Is(err, ErrMachineDeleted) {
		if wipe := c.keeper.forget(digest(c.identity.key)); wipe != nil {
			err = errors.Join(err, wipe)
		}
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	c.setStatus(Status{Phase: Ended, Reason: err})
	close(c.ended)
	c.stop(err)
}
