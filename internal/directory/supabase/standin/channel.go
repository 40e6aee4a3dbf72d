package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// retryPause is how long a subscription waits for a database that does not answer.
const retryPause = time.Second

// channel is one joined topic of a socket.
type channel struct {
	// Fixed after construction.
	socket   *socket
	topic    string
	joinRef  *string
	bindings []binding
	ctx      context.Context // ends when the server or the client closes the channel
	cancel   context.CancelFunc
	again    chan struct{} // asks to subscribe anew
	done     chan struct{} // closed when keepSubscribed has ended

	// Guarded by realtime.mu.
	role         string
	token        string
	isSubscribed bool
	hasFailed    bool // it asked for what cannot be had and is not tried again
}

// start subscribes from now on.
func (c *channel) start() {
	c.again, c.done = make(chan struct{}, 1), make(chan struct{})
	r := c.socket.realtime
	r.mu.Lock()
	r.channels[c] = struct{}{}
	r.mu.Unlock()
	go c.keepSubscribed() // ends with the channel
}

// end forgets the channel and waits for it.
func (c *channel) end() {
	r := c.socket.realtime
	r.mu.Lock()
	delete(r.channels, c)
	r.mu.Unlock()
	c.cancel()
	<-c.done
}

// closed ends the channel and tells the client.
func (c *channel) closed() {
	c.end()
	c.socket.send(frame{JoinRef: c.joinRef, Ref: c.joinRef, Topic: c.topic, Event: "phx_close", Payload: object{}.raw()})
}

func (c *channel) send(event string, payload object) {
	c.socket.send(frame{JoinRef: c.joinRef, Topic: c.topic, Event: event, Payload: payload.raw()})
}

func (c *channel) system(extension, status, message string) {
	c.send("system", object{
		"extension": extension, "status": status, "message": message, "channel": strings.TrimPrefix(c.topic, "realtime:"),
	})
}

func (c *channel) keepSubscribed() {
	defer close(c.done)
	for {
		if len(c.bindings) > 0 {
			c.subscribe()
		}
		select {
		case <-c.again:
		case <-c.ctx.Done():
			return
		}
	}
}

// subscribe ends when the channel is subscribed, cannot be, or has ended. Only changes that are read
// from then on reach it.
func (c *channel) subscribe() {
	r := c.socket.realtime
	if !pause(c.ctx, r.project.Faults().SystemDelay) || !r.feed.await(c.ctx) {
		return
	}
	missing, err := c.unpublished()
	for err != nil {
		if !pause(c.ctx, retryPause) {
			return
		}
		missing, err = c.unpublished()
	}
	if fault := r.project.Faults().SubscriptionError; fault != "" {
		missing = fault
	}
	r.mu.Lock()
	c.isSubscribed, c.hasFailed = missing == "", missing != ""
	r.mu.Unlock()
	if missing != "" {
		c.system("postgres_changes", "error", missing)
		return
	}
	c.system("postgres_changes", "ok", "Subscribed to PostgreSQL")
}

// unpublished says which of the tables asked for is not in the publication.
func (c *channel) unpublished() (string, error) {
	for _, b := range c.bindings {
		var isThere bool
		err := c.socket.realtime.project.pool.QueryRow(c.ctx, `
			select exists (select from pg_publication_tables where pubname = $1
				and ($2 = '*' or schemaname = $2) and ($3 in ('', '*') or tablename = $3))`,
			publication, b.Schema, b.Table).Scan(&isThere)
		if err != nil {
			return "", err
		}
		if !isThere {
			return fmt.Sprintf("%s: [event: %s, schema: %s, table: %s, filters: []]", subscriptionFailed, b.Event, b.Schema, b.Table), nil
		}
	}
	return "", nil
}

func (c *channel) subscribed() bool {
	c.socket.realtime.mu.Lock()
	defer c.socket.realtime.mu.Unlock()
	return c.isSubscribed
}

// resubscribe has the channel subscribe anew, unless that has failed before. After a loss changes do not
// reach it until it has.
func (c *channel) resubscribe(isLost bool) {
	r := c.socket.realtime
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.hasFailed {
		return
	}
	if isLost {
		c.isSubscribed = false
	}
	select {
	case c.again <- struct{}{}:
	default: // it is asked already
	}
}

// refresh takes a new token. A bad one closes the channel, after a word from the system.
func (c *channel) refresh(f frame) {
	var payload struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(f.Payload, &payload) != nil || payload.Token == "" || isNewKind(payload.Token) {
		return
	}
	role, reason := c.socket.roleOf(payload.Token)
	if reason != "" {
		c.shutDown(reason)
		return
	}
	r := c.socket.realtime
	r.mu.Lock()
	isNew := c.token != payload.Token
	c.role, c.token = role, payload.Token
	r.mu.Unlock()
	if isNew {
		c.resubscribe(false) // the old subscription goes on until the new one is there
	}
}

// shutDown closes the channel as the server does for a reason of its own.
func (c *channel) shutDown(reason string) {
	c.system("system", "error", reason)
	c.closed()
}

// pause waits, and tells whether ctx lives on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
