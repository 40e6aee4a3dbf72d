package session

import (
	"hash/maphash"
	"sync"

	"github.com/fleetline/fleetline/internal/hashed"
)

// index finds sessions by a name of theirs. It keeps no name: the session at a place on the floor knows
// its own. Of several sessions with the same name the index names the newest, and each names its
// neighbours, so that leaving costs the same among two and among a hundred thousand.
//
// Sessions are put on the floor first and leave it last: whatever is named here is found there, and
// what is fixed in its record, and in its owner, can be read under the shard's lock.
type index struct {
	// Fixed after construction.
	floor *floor
	by    int                  // which of a record's links are the index's
	name  func(*record) []byte // which of its names
	seed  maphash.Seed

	shards [shardCount]shard
}

// The hub's indexes.
const (
	byMachine = iota
	byAccount
	indexes
)

// links are a session's neighbours among those with the same name.
type links struct{ before, next place }

const shardCount = 64

type shard struct {
	mu sync.RWMutex
	// Guarded by mu, and so are the links of the sessions here. Its numbers are slots.
	table hashed.Table
}

func newIndex(f *floor, by int, name func(*record) []byte) *index {
	return &index{floor: f, by: by, name: name, seed: maphash.MakeSeed()}
}

func (x *index) shard(name string) (sh *shard, hash uint64) {
	hash = maphash.String(x.seed, name)
	return &x.shards[hash%shardCount], hash
}

func (x *index) record(at place) *record { return x.floor.records.at(at.slot()) }

func (x *index) links(at place) *links { return &x.record(at).links[x.by] }

// findLocked is the newest session with a name, or zero.
func (x *index) findLocked(sh *shard, hash uint64, name string) place {
	slot, found := sh.table.Find(hash, func(slot uint32) bool {
		return string(x.name(x.floor.records.at(slot))) == name
	})
	if !found {
		return 0
	}
	return placeAt(slot)
}

// add lets s be found by its name unless there are limit sessions of it; 0: there is no limit.
func (x *index) add(s Session, name string, limit int) bool {
	sh, hash := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	first := x.findLocked(sh, hash, name)
	if limit > 0 && x.countLocked(first) >= limit {
		return false
	}
	at := placeOf(s.id)
	if first == 0 {
		sh.table.Add(hash, at.slot())
		return true
	}
	x.links(first).before = at
	x.links(at).next = first
	sh.table.Replace(hash, first.slot(), at.slot())
	return true
}

func (x *index) countLocked(first place) int {
	n := 0
	for at := first; at != 0; at = x.links(at).next {
		n++
	}
	return n
}

// remove takes out a session that is here.
func (x *index) remove(s Session) {
	hash := maphash.Bytes(x.seed, x.name(s.rec))
	sh := &x.shards[hash%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := placeOf(s.id)
	l := *x.links(at)
	if l.next != 0 {
		x.links(l.next).before = l.before
	}
	switch {
	case l.before != 0:
		x.links(l.before).next = l.next
	case l.next != 0:
		sh.table.Replace(hash, at.slot(), l.next.slot())
	default:
		sh.table.Remove(hash, at.slot())
	}
}

// each calls f for every session with a name. The shard is locked for reading meanwhile: f may take a
// session's lock, but must not touch an index.
func (x *index) each(name string, f func(Session)) {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	first := x.findLocked(sh, hash, name)
	for at := first; at != 0; at = x.links(at).next {
		f(x.floor.session(at))
	}
}

// first calls f for the newest session with a name, if there is one, under the same rule as each.
func (x *index) first(name string, f func(Session)) {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if first := x.findLocked(sh, hash, name); first != 0 {
		f(x.floor.session(first))
	}
}

// count is the number of sessions with a name.
func (x *index) count(name string) int {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	first := x.findLocked(sh, hash, name)
	return x.countLocked(first)
}

// names are those that a session has.
func (x *index) names() []string {
	names := make([]string, 0, x.len())
	for i := range x.shards {
		names = x.namesOf(&x.shards[i], names)
	}
	return names
}

func (x *index) namesOf(sh *shard, names []string) []string {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for slot := range sh.table.All() {
		names = append(names, string(x.name(x.floor.records.at(slot))))
	}
	return names
}

// len is the number of names that a session has.
func (x *index) len() int {
	n := 0
	for i := range x.shards {
		sh := &x.shards[i]
		sh.mu.RLock()
		n += sh.table.Len()
		sh.mu.RUnlock()
	}
	return n
}

// check counts the sessions that are here, and those that are not where they would be looked for.
func (x *index) check() (all, misplaced int) {
	for _, name := range x.names() {
		var before place
		x.each(name, func(s Session) {
			all++
			if string(x.name(s.rec)) != name || s.rec.links[x.by].before != before {
				misplaced++
			}
			before = placeOf(s.id)
		})
	}
	return all, misplaced
}
