package session

import (
	"hash/maphash"
	"sync"
)

// roster finds the sessions of a machine. It keeps no name: a session is named by its slot on the
// floor, beside some bits of its machine's hash, and knows the rest itself. Of several sessions of a
// machine the roster names one, and each names the next.
//
// Sessions are put on the floor first and leave it last: whatever is named here is found there.
type roster struct {
	// Fixed after construction.
	floor *floor
	seed  maphash.Seed

	shards [shardCount]rosterShard
}

type rosterShard struct {
	mu sync.RWMutex
	// Guarded by mu, and so is the field next of the sessions here. It is a hash table of open
	// addressing: an entry stands at the place its hash asks for or, in a row, behind it.
	entries []entry
	used    int
}

// entry is the upper half of a hash above a floor's slot plus one. Zero is empty.
type entry uint64

func newEntry(hash uint64, s *Session) entry {
	return entry(hash&^0xffffffff | uint64(s.socket.Slot()+1))
}

func (e entry) slot() uint32 { return uint32(e) - 1 }

// place is where e asks to stand among n.
func (e entry) place(n int) int { return int(uint64(e) >> 32 * uint64(n) >> 32) }

func newRoster(f *floor) *roster { return &roster{floor: f, seed: maphash.MakeSeed()} }

func (r *roster) shard(name string) (sh *rosterShard, hash uint64) {
	hash = maphash.String(r.seed, name)
	return &r.shards[hash%shardCount], hash
}

// findLocked is the place of the machine's entry and the session it names, or the place for a new one
// and nil. There is an empty place.
func (r *roster) findLocked(sh *rosterShard, hash uint64, name string) (i int, head *Session) {
	if len(sh.entries) == 0 {
		return 0, nil
	}
	for i = entry(hash).place(len(sh.entries)); sh.entries[i] != 0; i = sh.after(i) {
		if uint64(sh.entries[i])>>32 != hash>>32 {
			continue
		}
		if s := r.floor.at(sh.entries[i].slot()); s.machine == name {
			return i, s
		}
	}
	return i, nil
}

func (sh *rosterShard) after(i int) int {
	if i++; i < len(sh.entries) {
		return i
	}
	return 0
}

// next is the next session of the same machine, or nil.
func (r *roster) next(s *Session) *Session {
	if s.next == 0 {
		return nil
	}
	return r.floor.at(s.next - 1)
}

// add lets s be found unless its machine has limit sessions.
func (r *roster) add(s *Session, limit int) bool {
	sh, hash := r.shard(s.machine)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.makeRoomLocked()
	i, head := r.findLocked(sh, hash, s.machine)
	if head == nil {
		sh.entries[i] = newEntry(hash, s)
		sh.used++
		return true
	}
	if limit > 0 && r.countLocked(head) >= limit {
		return false
	}
	s.next, head.next = head.next, s.socket.Slot()+1
	return true
}

func (r *roster) countLocked(head *Session) int {
	n := 0
	for s := head; s != nil; s = r.next(s) {
		n++
	}
	return n
}

// makeRoomLocked keeps a fifth of the places empty: rows stay short. It grows by little, because
// what is empty costs as much as what is used.
func (sh *rosterShard) makeRoomLocked() {
	if (sh.used+1)*5 <= len(sh.entries)*4 {
		return
	}
	old := sh.entries
	sh.entries = make([]entry, len(old)+len(old)/4+8)
	for _, e := range old {
		if e != 0 {
			sh.placeLocked(e)
		}
	}
}

func (sh *rosterShard) placeLocked(e entry) {
	i := e.place(len(sh.entries))
	for sh.entries[i] != 0 {
		i = sh.after(i)
	}
	sh.entries[i] = e
}

// remove tells whether s was there.
func (r *roster) remove(s *Session) bool {
	sh, hash := r.shard(s.machine)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, head := r.findLocked(sh, hash, s.machine)
	if head == s {
		if next := r.next(s); next != nil {
			sh.entries[i] = newEntry(hash, next)
		} else {
			sh.emptyLocked(i)
		}
		s.next = 0
		return true
	}
	for before := head; before != nil; before = r.next(before) {
		if r.next(before) == s {
			before.next, s.next = s.next, 0
			return true
		}
	}
	return false
}

// emptyLocked moves up those of the row behind i that it stood in the way of.
func (sh *rosterShard) emptyLocked(i int) {
	sh.used--
	sh.entries[i] = 0
	for j := sh.after(i); sh.entries[j] != 0; j = sh.after(j) {
		e := sh.entries[j]
		sh.entries[j] = 0
		sh.placeLocked(e)
	}
}

// each calls f for every session of the machine. The shard is locked for reading meanwhile: f may
// take a session's lock, but must not touch the roster.
func (r *roster) each(name string, f func(*Session)) {
	sh, hash := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, head := r.findLocked(sh, hash, name)
	for s := head; s != nil; s = r.next(s) {
		f(s)
	}
}

// count is the number of sessions of the machine.
func (r *roster) count(name string) int {
	n := 0
	r.each(name, func(*Session) { n++ })
	return n
}

// names are the machines that have a session.
func (r *roster) names() []string {
	var names []string
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		for _, e := range sh.entries {
			if e != 0 {
				names = append(names, r.floor.at(e.slot()).machine)
			}
		}
		sh.mu.RUnlock()
	}
	return names
}

// all calls f for every session, under the same rule as each.
func (r *roster) all(f func(*Session)) {
	for _, name := range r.names() {
		r.each(name, f)
	}
}
