package session

import (
	"hash/maphash"
	"sync"
)

// index finds sessions by a name of theirs. It keeps no name: a session is named by its place on the
// floor, beside some bits of its name's hash, and knows the rest itself. Of several sessions with the
// same name the index names the newest, and each names its neighbours, so that leaving costs the same
// among two and among a hundred thousand.
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
	// Guarded by mu, and so are the links of the sessions here. It is a hash table of open addressing:
	// an entry stands where its hash asks for or, in a row, behind it.
	entries []entry
	used    int
}

// entry is the upper half of a hash above a place. Zero is empty.
type entry uint64

func newEntry(hash uint64, at place) entry { return entry(hash&^0xffffffff | uint64(at)) }

func (e entry) place() place { return place(e) }

// wants is where e asks to stand among n.
func (e entry) wants(n int) int { return int(uint64(e) >> 32 * uint64(n) >> 32) }

func newIndex(f *floor, by int, name func(*record) []byte) *index {
	return &index{floor: f, by: by, name: name, seed: maphash.MakeSeed()}
}

func (x *index) shard(name string) (sh *shard, hash uint64) {
	hash = maphash.String(x.seed, name)
	return &x.shards[hash%shardCount], hash
}

func (x *index) record(at place) *record { return x.floor.records.at(uint32(at - 1)) }

func (x *index) links(at place) *links { return &x.record(at).links[x.by] }

// findLocked is where the entry of a name stands and what it names, or where a new one would stand and
// zero. There is room.
func (x *index) findLocked(sh *shard, hash uint64, name string) (i int, first place) {
	if len(sh.entries) == 0 {
		return 0, 0
	}
	for i = entry(hash).wants(len(sh.entries)); sh.entries[i] != 0; i = sh.after(i) {
		e := sh.entries[i]
		if uint64(e)>>32 == hash>>32 && string(x.name(x.record(e.place()))) == name {
			return i, e.place()
		}
	}
	return i, 0
}

func (sh *shard) after(i int) int {
	if i++; i < len(sh.entries) {
		return i
	}
	return 0
}

// add lets s be found by its name unless there are limit sessions of it; 0: there is no limit.
func (x *index) add(s Session, name string, limit int) bool {
	sh, hash := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.makeRoomLocked()
	i, first := x.findLocked(sh, hash, name)
	if limit > 0 && x.countLocked(first) >= limit {
		return false
	}
	at := placeOf(s.id)
	if first == 0 {
		sh.used++
	} else {
		x.links(first).before = at
		x.links(at).next = first
	}
	sh.entries[i] = newEntry(hash, at)
	return true
}

func (x *index) countLocked(first place) int {
	n := 0
	for at := first; at != 0; at = x.links(at).next {
		n++
	}
	return n
}

// makeRoomLocked keeps a fifth of the table empty: rows stay short. It grows by little, because what
// is empty costs as much as what is used.
func (sh *shard) makeRoomLocked() {
	if (sh.used+1)*5 <= len(sh.entries)*4 {
		return
	}
	old := sh.entries
	sh.entries = make([]entry, len(old)+len(old)/4+8)
	for _, e := range old {
		if e != 0 {
			sh.standLocked(e)
		}
	}
}

func (sh *shard) standLocked(e entry) {
	i := e.wants(len(sh.entries))
	for sh.entries[i] != 0 {
		i = sh.after(i)
	}
	sh.entries[i] = e
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
		sh.entries[sh.whereLocked(newEntry(hash, at))] = newEntry(hash, l.next)
	default:
		sh.emptyLocked(sh.whereLocked(newEntry(hash, at)))
	}
}

// whereLocked is where an entry stands.
func (sh *shard) whereLocked(e entry) int {
	i := e.wants(len(sh.entries))
	for sh.entries[i] != e {
		i = sh.after(i)
	}
	return i
}

// emptyLocked moves up those of the row behind i that it stood in the way of.
func (sh *shard) emptyLocked(i int) {
	sh.used--
	sh.entries[i] = 0
	for j := sh.after(i); sh.entries[j] != 0; j = sh.after(j) {
		e := sh.entries[j]
		sh.entries[j] = 0
		sh.standLocked(e)
	}
}

// each calls f for every session with a name. The shard is locked for reading meanwhile: f may take a
// session's lock, but must not touch an index.
func (x *index) each(name string, f func(Session)) {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, first := x.findLocked(sh, hash, name)
	for at := first; at != 0; at = x.links(at).next {
		f(x.floor.session(at))
	}
}

// first calls f for the newest session with a name, if there is one, under the same rule as each.
func (x *index) first(name string, f func(Session)) {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if _, first := x.findLocked(sh, hash, name); first != 0 {
		f(x.floor.session(first))
	}
}

// count is the number of sessions with a name.
func (x *index) count(name string) int {
	sh, hash := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, first := x.findLocked(sh, hash, name)
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
	for _, e := range sh.entries {
		if e != 0 {
			names = append(names, string(x.name(x.record(e.place()))))
		}
	}
	return names
}

// len is the number of names that a session has.
func (x *index) len() int {
	n := 0
	for i := range x.shards {
		sh := &x.shards[i]
		sh.mu.RLock()
		n += sh.used
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
