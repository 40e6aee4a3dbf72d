package session

import (
	"maps"
	"sync"
	"sync/atomic"
)

const chunkLength = 1 << 10

// chunk is so many values in a row.
type chunk[T any] [chunkLength]T

// chunks finds values by number. They lie in chunks that never move, so finding takes no lock, and a
// chunk of values without pointers is one thing to the garbage collector, which does not look inside.
type chunks[T any] struct {
	made atomic.Pointer[map[uint32]*chunk[T]] // replaced under mu, never changed

	mu sync.Mutex
}

// all are the chunks by their numbers.
func (c *chunks[T]) all() map[uint32]*chunk[T] {
	if made := c.made.Load(); made != nil {
		return *made
	}
	return nil
}

// at is nil for a number that no place was made for.
func (c *chunks[T]) at(n uint32) *T {
	if in := c.all()[n/chunkLength]; in != nil {
		return &in[n%chunkLength]
	}
	return nil
}

// room makes a place for a number, which stays: numbers are used again.
func (c *chunks[T]) room(n uint32) *T {
	if found := c.at(n); found != nil {
		return found
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at(n) == nil {
		next := make(map[uint32]*chunk[T], len(c.all())+1)
		maps.Copy(next, c.all())
		next[n/chunkLength] = new(chunk[T])
		c.made.Store(&next)
	}
	return c.at(n)
}
