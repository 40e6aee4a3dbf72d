package limit

import (
	"fmt"
	"time"
)

// Config says how often something may happen.
type Config struct {
	// Events may happen in the time Per, at a steady pace.
	Events int
	Per    time.Duration
	// Burst is how many may happen at once after a quiet time. 0: Events.
	Burst int
	// MaxKeys bounds how many keys a Keyed remembers. 0: 65,536.
	MaxKeys int
}

// Rate is a limit that any number of meters share. It is immutable and safe for concurrent use.
type Rate struct {
	start    time.Time // meters count from here, on the monotonic clock
	interval time.Duration
	burst    time.Duration
}

// NewRate panics if c makes no sense: limits are constants of the program.
func NewRate(c Config) Rate {
	if c.Events < 1 || c.Per < 1 || c.Burst < 0 || c.MaxKeys < 0 {
		panic(fmt.Sprintf("limit: not a rate: %d events per %v, burst %d, %d keys", c.Events, c.Per, c.Burst, c.MaxKeys))
	}
	if c.Burst == 0 {
		c.Burst = c.Events
	}
	events := time.Duration(c.Events)
	interval := (c.Per + events - 1) / events // rounded up: never more than was promised
	return Rate{start: time.Now(), interval: interval, burst: time.Duration(c.Burst) * interval}
}

// Meter is what has been taken from a Rate by one taker. The zero Meter has taken nothing. It
// belongs to whoever holds it and is not safe for concurrent use.
type Meter struct{ earned time.Duration }

// Take takes one event at the time now, or says how long to wait for it.
func (r Rate) Take(m *Meter, now time.Time) (ok bool, retryAfter time.Duration) {
	earned, retryAfter := r.next(*m, now)
	if retryAfter > 0 {
		return false, retryAfter
	}
	m.earned = earned
	return true, 0
}

// Look says what Take would, and takes nothing.
func (r Rate) Look(m Meter, now time.Time) (ok bool, retryAfter time.Duration) {
	_, retryAfter = r.next(m, now)
	return retryAfter == 0, retryAfter
}

func (r Rate) next(m Meter, now time.Time) (earned, retryAfter time.Duration) {
	at := now.Sub(r.start)
	earned = max(m.earned, at) + r.interval
	return earned, max(0, earned-at-r.burst)
}

// isFresh tells whether m is by now the same as one that has taken nothing.
func (r Rate) isFresh(m Meter, now time.Time) bool { return m.earned <= now.Sub(r.start) }
