package broker

import (
	"context"
	"fmt"
	"time"
)

// carried remembers the publishers' ids that an earlier life took in the last minutes: the stream of
// the current one does not know them, and a publisher that asks again after a restart would have
// its message stored twice. It is nil when there is nothing to remember.
type carried struct {
	until time.Time
	ids   map[string]Receipt
}

func (c *carried) find(messageID string) (Receipt, bool) {
	if c == nil || messageID == "" || time.Now().After(c.until) {
		return Receipt{}, false
	}
	r, ok := c.ids[messageID]
	return r, ok
}

// carryIDs collects the ids of the lives that ended in the last minutes.
func carryIDs(ctx context.Context, l *lives, d *direct) (*carried, error) {
	now := l.current.Load()
	since := time.Now().Add(-dedupeWindow)
	if now.Began.Before(since) {
		return nil, nil
	}
	c := &carried{until: now.Began.Add(dedupeWindow), ids: make(map[string]Receipt)}
	for _, f := range l.all() {
		if !f.Ended || f.gone {
			continue
		}
		if err := c.addLife(ctx, d, f, since); err != nil {
			return nil, fmt.Errorf("remembering the ids of the last life: %w", err)
		}
	}
	if len(c.ids) == 0 {
		return nil, nil
	}
	return c, nil
}

func (c *carried) addLife(ctx context.Context, d *direct, f life, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	q := question{StartTime: &since, NextFor: f.subject(">"), Batch: 4 * fetchBatch, MaxBytes: fetchBytes}
	for {
		a, err := d.ask(ctx, f.stream(), q)
		if err != nil && ctx.Err() == nil {
			continue // a store that was put back is read from a cold disk
		} else if err != nil {
			return err
		}
		for _, r := range a.records {
			if _, what, ok := parseSubject(r.subject); ok && r.id != "" {
				c.ids[messageID(what, r.id)] = Receipt{Epoch: f.Epoch, Seq: r.seq}
			}
			q.Seq, q.StartTime = r.seq+1, nil
		}
		if a.none || a.pending == 0 {
			return nil
		}
	}
}
