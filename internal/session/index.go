package session

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// kind is one of the ways by which sessions are found.
type kind int

const (
	byMachine kind = iota
	byAccount
	everyone
	kinds
)

const shardCount = 64

// index finds sessions by one kind of name. A session's place in its group is kept in the session,
// so that leaving costs the same in a group of one and of a hundred thousand.
type index struct {
	kind   kind
	shards [shardCount]shard
}

type shard struct {
	mu sync.RWMutex
	// Guarded by mu. Most machines have one session, and a slice would cost more than it.
	alone  map[string]*Session
	groups map[string][]*Session // of names that are not in alone
}

// groupLocked are the sessions of a name; room is where one that is alone is put.
func (sh *shard) groupLocked(name string, room *[1]*Session) []*Session {
	if s := sh.alone[name]; s != nil {
		room[0] = s
		return room[:]
	}
	return sh.groups[name]
}

func newIndex(k kind) *index {
	x := &index{kind: k}
	for i := range x.shards {
		x.shards[i].alone = make(map[string]*Session)
		x.shards[i].groups = make(map[string][]*Session)
	}
	return x
}

// add puts s in the group of name unless the group holds limit sessions.
func (x *index) add(name string, s *Session, limit int) bool {
	sh := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := sh.groupLocked(name, new([1]*Session))
	if limit > 0 && len(g) >= limit {
		return false
	}
	s.at[x.kind] = int32(len(g))
	if len(g) == 0 {
		sh.alone[name] = s
		return true
	}
	delete(sh.alone, name)
	sh.groups[name] = append(g, s)
	return true
}

func (x *index) remove(name string, s *Session) bool {
	sh := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.alone[name] == s {
		delete(sh.alone, name)
		return true
	}
	g := sh.groups[name]
	i := int(s.at[x.kind])
	if i >= len(g) || g[i] != s {
		return false
	}
	last := len(g) - 1
	g[i] = g[last]
	g[i].at[x.kind] = int32(i)
	g[last] = nil
	if last == 0 {
		delete(sh.groups, name)
		return true
	}
	sh.groups[name] = g[:last]
	return true
}

// each calls f for every session of the group. The shard is locked for reading meanwhile: f may take
// a session's lock, but must not touch an index.
func (x *index) each(name string, f func(*Session)) {
	sh := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, s := range sh.groupLocked(name, new([1]*Session)) {
		f(s)
	}
}

// first is any session of the group, or nil.
func (x *index) first(name string) *Session {
	sh := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if g := sh.groupLocked(name, new([1]*Session)); len(g) > 0 {
		return g[0]
	}
	return nil
}

// count is the number of sessions in the group.
func (x *index) count(name string) int {
	sh := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return len(sh.groupLocked(name, new([1]*Session)))
}

// all calls f for every session of every group, under the same rule as each.
func (x *index) all(f func(name string, s *Session)) {
	for i := range x.shards {
		x.shards[i].each(f)
	}
}

// walkerSessions is how many sessions are worth a goroutine of their own.
const walkerSessions = 512

// allAtOnce calls f as all does, from several goroutines if there are many sessions, about n: what a
// round takes is the kernel's time for each write, and every processor can spend it.
func (x *index) allAtOnce(n int, f func(*Session)) {
	var next atomic.Int32
	walk := func() {
		for i := next.Add(1); i <= shardCount; i = next.Add(1) {
			x.shards[i-1].each(func(_ string, s *Session) { f(s) })
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+n/walkerSessions) - 1 {
		others.Go(walk)
	}
	walk()
	others.Wait()
}

func (sh *shard) each(f func(name string, s *Session)) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for name, s := range sh.alone {
		f(name, s)
	}
	for name, g := range sh.groups {
		for _, s := range g {
			f(name, s)
		}
	}
}

// names are the groups that hold a session.
func (x *index) names() []string {
	var names []string
	for i := range x.shards {
		sh := &x.shards[i]
		sh.mu.RLock()
		for name := range sh.alone {
			names = append(names, name)
		}
		for name := range sh.groups {
			names = append(names, name)
		}
		sh.mu.RUnlock()
	}
	return names
}

// len is the number of groups that hold a session.
func (x *index) len() int {
	n := 0
	for i := range x.shards {
		sh := &x.shards[i]
		sh.mu.RLock()
		n += len(sh.alone) + len(sh.groups)
		sh.mu.RUnlock()
	}
	return n
}

// shard spreads names by FNV-1a.
func (x *index) shard(name string) *shard {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return &x.shards[h%shardCount]
}
