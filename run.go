package fleetline

import (
	"context"
	"errors"
	"time"
)

// run keeps the line until ctx ends or the gateway has spoken a verdict.
func (c *Client) run(ctx context.Context) {
	var wait backoff
	for {
		lived, err := c.attempt(ctx)
		if c.isFinal(ctx, err) { // before the end of ctx: a deletion must not be missed by a program that leaves
			c.log.Info("the line has ended", "reason", err)
			c.finish(err)
			return
		}
		if ctx.Err() != nil {
			c.finish(context.Cause(ctx))
			return
		}
		delay := wait.next(lived, retryAfter(err))
		c.log.Info("the line is down", "reason", err, "retryAfter", delay)
		c.setStatus(Status{Phase: Waiting, Reason: err, Delay: delay})
		sleep(ctx, delay)
	}
}

// isFinal tells whether err is a verdict on everything this machine could come back with.
func (c *Client) isFinal(ctx context.Context, err error) bool {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return false
	}
	return !c.identity.another(ctx, r) && r.Terminal()
}

// attempt connects once, stays as long as that lasts, and says how long the gateway had the machine
// in and why that ended.
func (c *Client) attempt(ctx context.Context) (lived time.Duration, err error) {
	c.setStatus(Status{Phase: Connecting})
	if err := c.identity.prepare(ctx); err != nil {
		return 0, err
	}
	s, welcome, err := open(ctx, c.dialer, c.identity, c.inbox, c.log)
	if err != nil {
		return 0, err
	}
	now := Status{Phase: Connected}
	if w := welcome.Welcome; w != nil {
		now.MachineID, now.SessionID = w.MachineID, w.SessionID
		c.identity.adopt(welcome.SessionToken, w.ExpiresAt)
		// With the position: a machine that is killed in its first second is owed what came in it. A
		// failed save is retried and told by Close.
		_, at := c.inbox.positions()
		_ = c.keeper.change(func(s *State) { s.MachineID, s.Position = w.MachineID, at })
	}
	c.log.Info("the line is up", "machine", now.MachineID, "session", now.SessionID)
	since := time.Now()
	c.setStatus(now)
	c.admit()
	err = s.serve(ctx)
	return time.Since(since), err
}

// admit lets Connect return, the first time.
func (c *Client) admit() {
	select {
	case <-c.admitted:
	default:
		close(c.admitted)
	}
}
