package limit

import (
	"fmt"
	"sync"
)

// Places counts what is there at the same time, per key and in all. It is safe for concurrent use.
type Places[K comparable] struct {
	// Fixed after construction.
	perKey, total int

	mu sync.Mutex
	// Guarded by mu.
	taken map[K]int // no zeros: a key with nothing there is forgotten
	all   int
}

// NewPlaces makes room for perKey of each key and for total in all. It panics if either is less
// than one: limits are constants of the program.
func NewPlaces[K comparable](perKey, total int) *Places[K] {
	if perKey < 1 || total < 1 {
		panic(fmt.Sprintf("limit: no places: %d per key, %d in all", perKey, total))
	}
	return &Places[K]{perKey: perKey, total: total, taken: make(map[K]int)}
}

// Enter takes a place for key until release is called. Calling release again does nothing.
func (p *Places[K]) Enter(key K) (release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasLocked(key) {
		return nil, false
	}
	p.taken[key]++
	p.all++
	released := false
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !released {
			released = true
			p.leaveLocked(key)
		}
	}, true
}

// Has tells whether there is a place for key now.
func (p *Places[K]) Has(key K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasLocked(key)
}

// Taken is how many places are taken in all.
func (p *Places[K]) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

func (p *Places[K]) hasLocked(key K) bool { return p.all < p.total && p.taken[key] < p.perKey }

func (p *Places[K]) leaveLocked(key K) {
	p.all--
	if p.taken[key]--; p.taken[key] == 0 {
		delete(p.taken, key)
	}
}
