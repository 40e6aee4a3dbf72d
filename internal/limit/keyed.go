package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shards         = 64
	defaultMaxKeys = 1 << 16
	// sample is how many meters a full shard compares before it forgets one.
	sample = 8
	// smallest is the least number of new keys between two sweeps of a shard.
	smallest = 16
)

// Keyed is one rate with a meter for each key. It is safe for concurrent use.
type Keyed[K comparable] struct {
	// Fixed after construction.
	rate     Rate
	perShard int
	seed     maphash.Seed

	shards [shards]shard[K]
}

type shard[K comparable] struct {
	mu sync.Mutex
	// Guarded by mu.
	meters map[K]Meter
	sweep  int // so many new keys from now, those that are fresh again are forgotten
}

// New panics if c makes no sense: limits are constants of the program.
func New[K comparable](c Config) *Keyed[K] {
	k := &Keyed[K]{rate: NewRate(c), seed: maphash.MakeSeed()}
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	k.perShard = (c.MaxKeys + shards - 1) / shards
	for i := range k.shards {
		k.shards[i].meters = make(map[K]Meter)
		k.shards[i].sweep = smallest
	}
	return k
}

// Take takes one event of key's, or says how long to wait for it.
func (k *Keyed[K]) Take(key K) (ok bool, retryAfter time.Duration) {
	now := time.Now()
	s := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := s.meters[key]
	if ok, retryAfter = k.rate.Take(&m, now); !ok {
		return false, retryAfter
	}
	if !known {
		s.makeRoom(k.rate, now, k.perShard)
	}
	s.meters[key] = m
	return true, 0
}

// Look says what Take would, and takes nothing: for what counts only if it fails.
func (k *Keyed[K]) Look(key K) (ok bool, retryAfter time.Duration) {
	now := time.Now()
	s := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.rate.Look(s.meters[key], now)
}

// Len is how many keys are remembered.
func (k *Keyed[K]) Len() int {
	n := 0
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		n += len(s.meters)
		s.mu.Unlock()
	}
	return n
}

func (k *Keyed[K]) shard(key K) *shard[K] {
	return &k.shards[maphash.Comparable(k.seed, key)%shards]
}

// makeRoom is called for each new key. Once in as many as there are keys it looks at all of them, so
// each pays for one look at another. If the shard is still full, one goes.
func (s *shard[K]) makeRoom(r Rate, now time.Time, most int) {
	if s.sweep--; s.sweep <= 0 {
		for key, m := range s.meters {
			if r.isFresh(m, now) {
				delete(s.meters, key)
			}
		}
		s.sweep = max(len(s.meters), smallest)
	}
	if len(s.meters) >= most {
		delete(s.meters, s.nearlyFresh())
	}
}

// nearlyFresh finds, among a few meters, the one that would be forgotten first.
func (s *shard[K]) nearlyFresh() K {
	var found K
	var least Meter
	seen := 0
	for key, m := range s.meters { // a map is walked from a random place
		if seen == 0 || m.earned < least.earned {
			found, least = key, m
		}
		if seen++; seen == sample {
			break
		}
	}
	return found
}
