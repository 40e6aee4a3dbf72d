package broker

import (
	"slices"
	"sync"
	"sync/atomic"
)

// followerRoom is how many entries wait for somebody who looks on and is slow. What finds no room is
// counted and not kept: looking on holds up nobody.
const followerRoom = 256

// Follower looks on at what the tail hands out for some targets.
type Follower struct {
	// Fixed after construction.
	all     *followers
	targets []Target
	entries chan *Entry

	lost atomic.Uint64
}

// followers are those who look on now.
type followers struct {
	// count lets the tail pass by without a lock while nobody does.
	count atomic.Int32

	mu sync.Mutex
	// Guarded by mu.
	set map[*Follower]struct{}
}

// Follow looks on at messages for these targets from now on, stored or live-only, until Close.
func (b *Broker) Follow(targets ...Target) *Follower {
	f := &Follower{all: &b.tail.followers, targets: targets, entries: make(chan *Entry, followerRoom)}
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.all.set == nil {
		f.all.set = make(map[*Follower]struct{})
	}
	f.all.set[f] = struct{}{}
	f.all.count.Add(1)
	return f
}

// Entries are what was handed out, in order.
func (f *Follower) Entries() <-chan *Entry { return f.entries }

// Lost is how many entries found no room since it was last asked.
func (f *Follower) Lost() uint64 { return f.lost.Swap(0) }

// Close ends the looking on. Closing again does nothing.
func (f *Follower) Close() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if _, ok := f.all.set[f]; ok {
		delete(f.all.set, f)
		f.all.count.Add(-1)
	}
}

// see shows an entry to whoever looks on at its target.
func (s *followers) see(e *Entry) {
	if s.count.Load() == 0 || e.Kind != Data {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.set {
		if !slices.Contains(f.targets, e.Target) {
			continue
		}
		select {
		case f.entries <- e:
		default:
			f.lost.Add(1)
		}
	}
}
