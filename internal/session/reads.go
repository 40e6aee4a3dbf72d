package session

import (
	"context"
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
	waiting []Session
	// wake holds a token while there may be something to do.
	wake chan struct{}
}

func newReads() *reads { return &reads{wake: make(chan struct{}, 1)} }

func (r *reads) add(s ...Session) {
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
func (r *reads) take() []Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), readBatch)
	batch := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	if len(r.waiting) > 0 {
		r.signal()
	} else {
		r.waiting = nil // and its array goes with the batch
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
func (h *Hub) read(ctx context.Context, batch []Session) (failed []Session) {
	var asking []Session
	var reqs []Request
	for _, s := range batch {
		if r, ok := s.request(); ok {
			asking, reqs = append(asking, s), append(reqs, r)
		}
	}
	if len(reqs) == 0 {
		return nil
	}
	h.logReads.Add(1)
	for i, r := range h.log.Read(ctx, reqs) {
		switch {
		case r.Err == nil && r.Reached > reqs[i].After:
			asking[i].apply(r)
		case !asking[i].IsCut():
			failed = append(failed, asking[i])
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
