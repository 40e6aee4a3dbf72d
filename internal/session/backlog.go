package session

import "sync"

const (
	// roundBytes is about what a socket with nothing on its way takes at once: a round is no more than
	// its machines can be handed in one write.
	roundBytes = 16 << 10
	// backlogBytes bounds what waits for its round. When there is more, the tail waits.
	backlogBytes = 1 << 20
	// postOverhead is about what a post costs beside its frame, which its log holds.
	postOverhead = 64
)

// post is a message and whom it is for. Without a message it is a position to pass.
type post struct {
	to       Target
	message  Message
	position uint64 // 0 for a live-only message
	size     int    // of its frame
}

// isShort tells whether no round of many sessions comes of it.
func (p post) isShort() bool { return p.message == nil || p.to.Machine != "" }

// backlog is what comes while a round over the sessions goes on. The next round takes all of it that
// one write carries, so that whoever has fallen back catches up with fewer writes, not with more.
type backlog struct {
	// Fixed after construction.
	round func([]post) // is never called twice at once

	mu sync.Mutex
	// changed wakes whoever waits for room or for the end of a round, and due the one who goes the next
	// round: a tail that goes its rounds itself need not wake him.
	changed, due sync.Cond
	// Guarded by mu.
	waiting []post
	bytes   int
	busy    bool // a round goes on
	closed  bool
}

func newBacklog(round func([]post)) *backlog {
	b := &backlog{round: round}
	b.changed.L, b.due.L = &b.mu, &b.mu
	return b
}

// run goes from round to round until close.
func (b *backlog) run() {
	for posts := b.next(); posts != nil; posts = b.next() {
		b.hand(posts)
	}
}

// put adds p behind what waits, once there is room. A short one with nothing before it is handed over
// at once, as a round of its own: no other goroutine has to wake up for it.
func (b *backlog) put(p post) {
	if own := b.add(p); own != nil {
		b.hand(own)
	}
}

func (b *backlog) hand(posts []post) {
	b.round(posts)
	b.done()
}

// add returns the posts of the round that is the caller's to go.
func (b *backlog) add(p post) (own []post) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes >= backlogBytes && !b.closed {
		b.changed.Wait()
	}
	if b.closed {
		return nil
	}
	b.waiting = append(b.waiting, p)
	b.bytes += p.size + postOverhead
	if p.isShort() && !b.busy && len(b.waiting) == 1 {
		return b.takeLocked()
	}
	if !b.busy {
		b.due.Signal()
	}
	return nil
}

// next waits for the posts of the next round; none means the end.
func (b *backlog) next() []post {
	b.mu.Lock()
	defer b.mu.Unlock()
	for (b.busy || len(b.waiting) == 0) && !b.closed {
		b.due.Wait()
	}
	if b.closed {
		return nil
	}
	return b.takeLocked()
}

// takeLocked begins a round, which done ends.
func (b *backlog) takeLocked() []post {
	n, size := 1, b.waiting[0].size
	for n < len(b.waiting) && size+b.waiting[n].size <= roundBytes {
		size += b.waiting[n].size
		n++
	}
	round := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil // and its array goes with the round
	}
	b.bytes -= size + n*postOverhead
	b.busy = true
	return round
}

func (b *backlog) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	if len(b.waiting) > 0 {
		b.due.Signal()
	}
	b.changed.Broadcast()
}

// settle waits until nothing waits and no round goes on, and holds the next one until done.
func (b *backlog) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for (b.busy || len(b.waiting) > 0) && !b.closed {
		b.changed.Wait()
	}
	b.busy = true
}

func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.due.Signal()
	b.changed.Broadcast()
}
