package gateway

import (
	"sync"
	"time"
)

const (
	// breakAfter is how many questions in a row without an answer open the breaker.
	breakAfter = 3
	// probeEvery is how often an open breaker lets one question try.
	probeEvery = time.Second
)

// breaker spares a directory that does not answer: while it is open, who is judged is told at once
// to come back, instead of waiting for a timeout and asking once more for nothing.
type breaker struct {
	// Fixed after construction. Called when answers come again.
	recovered func()

	mu sync.Mutex
	// Guarded by mu.
	failures int
	probeAt  time.Time
}

// lets tells whether to ask. Of those who come while it is open, one a second may.
func (b *breaker) lets(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	if now.Before(b.probeAt) {
		return false
	}
	b.probeAt = now.Add(probeEvery)
	return true
}

// heard notes whether a question was answered.
func (b *breaker) heard(answered bool, now time.Time) {
	b.mu.Lock()
	wasOpen := b.failures >= breakAfter
	switch {
	case answered:
		b.failures = 0
	case !wasOpen:
		if b.failures++; b.failures == breakAfter {
			b.probeAt = now.Add(probeEvery)
		}
	}
	b.mu.Unlock()
	if wasOpen && answered {
		b.recovered()
	}
}
