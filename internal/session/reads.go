package session

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// readers is how many reads of the log go on at once.
	readers = 2
	// readBatch is the most sessions one read serves: after a restart a whole fleet is behind at
	// once, and one question to the log then answers for many.
	readBatch = 512
	// readPause is how long a reader waits after a read that failed.
	readPause = 250 * time.Millisecond
)

// reads are the sessions that wait for a read of the log: each at most once, so there are never more
// than there are sessions.
type reads struct {
	mu sync.Mutex
	// Guarded by mu.
	waiting []*Session
	// wake holds a token while there may be something to do.
	wake chan struct{}
}

func newReads() *reads { return &reads{wake: make(chan struct{}, 1)} }

func (r *reads) add(s ...*Session) {
	r.mu.Lock()
	r.waiting = append(r.waiting, s...)
	r.mu.Unlock()
	r.signal()
}

func (r *reads) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take takes out up to readBatch sessions, the longest waiting first.
func (r *reads) take() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), readBatch)
	batch := slices.Clone(r.waiting[:n])
	r.waiting = slices.Delete(r.waiting, 0, n)
	if len(r.waiting) > 0 {
		r.signal()
	}
	return batch
}

func (h *Hub) readLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.reads.wake:
		}
		if failed := h.read(ctx, h.reads.take()); len(failed) > 0 {
			h.reads.add(failed...)
			pause(ctx, readPause)
		}
	}
}

// read serves a batch and returns the sessions whose read failed or did not get further.
func (h *Hub) read(ctx context.Context, batch []*Session) (failed []*Session) {
	reqs := make([]Request, len(batch))
	for i, s := range batch {
		reqs[i] = Request{To: s.target(), After: s.position(), MaxBytes: batchBytes}
	}
	if len(reqs) == 0 {
		return nil
	}
	h.logReads.Add(1)
	for i, r := range h.log.Read(ctx, reqs) {
		switch {
		case r.Err == nil && r.Reached > reqs[i].After:
			batch[i].apply(r)
		case !batch[i].IsCut():
			failed = append(failed, batch[i])
		}
	}
	return failed
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
