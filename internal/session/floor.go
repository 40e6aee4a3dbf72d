package session

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// floor is every session, at the slot of its socket. Engines number slots densely, and use them again.
type floor struct {
	// Fixed after construction.
	hub *Hub

	records chunks[record]
	names   names
	owners  owners
	endings endings
}

func newFloor(h *Hub) *floor {
	f := &floor{hub: h}
	f.owners.names = &f.names
	return f
}

// place is a slot of the floor, plus one. Zero is none.
type place uint32

func placeOf(id socket.ID) place { return placeAt(id.Slot()) }

func placeAt(slot uint32) place { return place(slot + 1) }

func (at place) slot() uint32 { return uint32(at) - 1 }

// session is the one at a place where there is one.
func (f *floor) session(at place) Session {
	slot := at.slot()
	rec := f.records.at(slot)
	return Session{f.hub, rec, socket.ID(rec.generation.Load())<<32 | socket.ID(slot)}
}

// machine and account are the names of a session; they lie in its record and its owner.
func (f *floor) machine(r *record) []byte { return f.names.of(&r.machine) }

func (f *floor) account(r *record) []byte { return f.names.of(&f.owners.at(r.owner).account) }

// put makes a session unless its socket has one. another is the owner of another session of the account;
// 0: there is none.
func (f *floor) put(id socket.ID, who Identity, another uint32) (s Session, ok bool) {
	r := f.records.room(id.Slot())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.generation.Load() != 0 || generationOf(id) == 0 {
		return s, false
	}
	r.owner, r.since = f.owners.take(another, who), time.Since(f.hub.wheel.start)
	r.pos, r.pingAt, r.freshAt = 0, never, never
	r.links = [indexes]links{}
	r.marks, r.over = behind, 0
	r.kind, r.machine = kindOf(who), f.names.keep(who.Machine)
	r.generation.Store(generationOf(id)) // last: now it is there
	return Session{f.hub, r, id}, true
}

// remove empties the place of a session that no index names any more, and returns what it was.
func (f *floor) remove(s Session) (was State) {
	l, ok := s.lock()
	if !ok {
		return was
	}
	defer l.unlock()
	was = l.state()
	f.endings.remove(l.id)
	f.names.drop(&l.rec.machine)
	f.owners.leave(l.rec.owner)
	l.rec.generation.Store(0)
	return was
}

// of is the session of a socket.
func (f *floor) of(id socket.ID) (s Session, ok bool) {
	r := f.records.at(id.Slot())
	if r == nil || generationOf(id) == 0 || r.generation.Load() != generationOf(id) {
		return s, false
	}
	return Session{f.hub, r, id}, true
}

// appendOf appends the sessions of those sockets that have one.
func (f *floor) appendOf(dst []Session, ids []socket.ID) []Session {
	for _, id := range ids {
		if s, ok := f.of(id); ok {
			dst = append(dst, s)
		}
	}
	return dst
}

// each calls call for every session. One that enters or leaves meanwhile may be called for or not.
func (f *floor) each(call func(Session)) {
	for n := range f.records.all() {
		f.eachOf(n, 0, chunkLength, call)
	}
}

// walkerSessions is how many sessions are worth a goroutine of their own.
const walkerSessions = 512

const (
	// strideLength is how many places a goroutine of allAtOnce takes at a time: so few that the others
	// do not wait long for the last.
	strideLength = 128
	strides      = chunkLength / strideLength
)

// allAtOnce calls what walker returns as each does, from several goroutines if there are many sessions,
// about n: what a round takes is the kernel's time for each write, and every processor can spend it.
// Each goroutine has a walker of its own, whose last is called at its end.
func (f *floor) allAtOnce(n int, walker func() (call func(Session), last func())) {
	chunks := slices.Collect(maps.Keys(f.records.all()))
	var next atomic.Int32
	walk := func() {
		call, last := walker()
		for i := int(next.Add(1)) - 1; i < len(chunks)*strides; i = int(next.Add(1)) - 1 {
			f.eachOf(chunks[i/strides], i%strides*strideLength, strideLength, call)
		}
		last()
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+n/walkerSessions) - 1 {
		others.Go(walk)
	}
	walk()
	others.Wait()
}

// eachOf looks at places of a chunk without their locks, and misses nobody that it must find: a round
// moves begun before it looks, and who enters is on the floor before it reads begun.
func (f *floor) eachOf(chunk uint32, from, length int, call func(Session)) {
	in := f.records.all()[chunk]
	for i := from; i < from+length; i++ {
		if generation := in[i].generation.Load(); generation != 0 {
			call(Session{f.hub, &in[i], socket.ID(generation)<<32 | socket.ID(chunk*chunkLength+uint32(i))})
		}
	}
}
