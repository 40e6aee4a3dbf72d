package fleetline

import (
	"math/rand/v2"
	"time"
)

// Bounds of the wait between two attempts.
const (
	firstWait   = time.Second
	longestWait = time.Minute
	// stableAfter is how long a session must have lived for the waits to begin small again.
	stableAfter = time.Minute
)

// backoff chooses the waits: full jitter from the first attempt on, because what ended this line
// has probably ended the whole fleet's.
type backoff struct{ ceiling time.Duration }

// next is how long to wait after a session that lived for lived; floor is what the gateway asks
// for, and comes on top so that a fleet told the same number does not come back as one.
func (b *backoff) next(lived, floor time.Duration) time.Duration {
	if lived >= stableAfter || b.ceiling == 0 {
		b.ceiling = firstWait
	}
	wait := floor + rand.N(b.ceiling)
	b.ceiling = min(2*b.ceiling, longestWait)
	return wait
}
