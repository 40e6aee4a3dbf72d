package supabase

import (
	"math/rand/v2"
	"time"
)

// backoff chooses the waits between two connections: full jitter from the first on, for what ended
// this one has probably ended those of all nodes.
type backoff struct {
	first, longest, stable time.Duration
	ceiling                time.Duration
}

func newBackoff(p pace) backoff {
	return backoff{first: p.reconnect, longest: p.ceiling, stable: p.stable}
}

// next is how long to wait after a connection that was good for lived; it is at least floor.
func (b *backoff) next(lived, floor time.Duration) time.Duration {
	if lived >= b.stable || b.ceiling == 0 {
		b.ceiling = b.first
	}
	wait := max(floor, rand.N(b.ceiling))
	b.ceiling = min(2*b.ceiling, b.longest)
	return wait
}
