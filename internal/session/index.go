package session

import "sync"

const shardCount = 64

// index finds sessions by account. A session's place in its group is kept in the session, so that
// leaving costs the same in a group of one and of a hundred thousand.
type index struct {
	shards [shardCount]shard
}

type shard struct {
	mu sync.RWMutex
	// Guarded by mu. Where an account is a machine it has one session, and a slice would cost more.
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

func newIndex() *index {
	x := &index{}
	for i := range x.shards {
		x.shards[i].alone = make(map[string]*Session)
		x.shards[i].groups = make(map[string][]*Session)
	}
	return x
}

// add puts s in the group of its account.
func (x *index) add(s *Session) {
	name := s.owner.account
	sh := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := sh.groupLocked(name, new([1]*Session))
	s.at = int32(len(g))
	if len(g) == 0 {
		sh.alone[name] = s
		return
	}
	delete(sh.alone, name)
	sh.groups[name] = append(g, s)
}

func (x *index) remove(s *Session) {
	name := s.owner.account
	sh := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.alone[name] == s {
		delete(sh.alone, name)
		return
	}
	g := sh.groups[name]
	i := int(s.at)
	if i >= len(g) || g[i] != s {
		return
	}
	last := len(g) - 1
	g[i] = g[last]
	g[i].at = int32(i)
	g[last] = nil
	if last == 0 {
		delete(sh.groups, name)
		return
	}
	sh.groups[name] = g[:last]
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

// all calls f for every session of every group, under the same rule as each.
func (x *index) all(f func(name string, s *Session)) {
	for i := range x.shards {
		x.shards[i].each(f)
	}
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
