package broker

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// window is the log's recent past in memory: the data entries after floor up to head, in order and
// by target. One goroutine appends; any number read.
type window struct {
	bound int // bytes
	// bareBytes counts the bare frames of the entries held.
	bareBytes atomic.Int64

	mu sync.RWMutex
	// Guarded by mu. Everything in the log from floor+1 to head that has not expired is held, once
	// the window is filled: while filling, entries up to head are still being added and nothing
	// below head can be answered. head also moves over entries that are not data.
	floor, head uint64
	filling     bool
	bytes       int
	order       ring
	targets     map[Target]*shelf
}

// shelf are one target's entries, oldest first.
type shelf struct {
	target Target
	line   ring
}

func newWindow(bound int) *window { return &window{bound: bound, targets: make(map[Target]*shelf)} }

// reset empties the window. It is going to hear the log after floor, of which the part up to head
// is the past.
func (w *window) reset(floor, head uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for e := w.order.pop(); e != nil; e = w.order.pop() {
		e.release()
	}
	w.floor, w.head, w.filling, w.bytes = floor, head, floor < head, 0
	w.order, w.targets = ring{}, make(map[Target]*shelf)
}

// advance moves the head over an entry that is not held.
func (w *window) advance(to uint64) {
	w.mu.Lock()
	w.advanceLocked(to)
	w.mu.Unlock()
}

func (w *window) advanceLocked(to uint64) {
	if to >= w.head {
		w.head, w.filling = to, false
	}
}

// append holds e as the newest entry.
func (w *window) append(e *Entry) {
	e.charge(&w.bareBytes)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.targets[e.Target]
	if s == nil {
		s = &shelf{target: e.Target}
		w.targets[e.Target] = s
	}
	e.Target = s.target // one copy of the ids for all of a target's entries
	s.line.push(e)
	w.order.push(e)
	w.bytes += e.size()
	w.advanceLocked(e.Seq)
	w.trimLocked()
}

// raise moves the floor up: below it, entries may be missing.
func (w *window) raise(floor uint64) {
	w.mu.Lock()
	w.floor = max(w.floor, floor)
	w.mu.Unlock()
}

// trimLocked drops the oldest entries until the bound is kept; the newest always stays.
func (w *window) trimLocked() {
	for w.order.len() > 1 && w.bytes+int(w.bareBytes.Load()) > w.bound {
		e := w.order.pop()
		e.release()
		w.bytes -= e.size()
		w.floor = max(w.floor, e.Seq)
		s := w.targets[e.Target]
		s.line.pop() // the oldest of all is the oldest of its target
		if s.line.len() == 0 {
			delete(w.targets, e.Target)
		}
	}
}

// recent appends to dst what the session t has after a position; see Broker.Recent.
func (w *window) recent(t Target, after uint64, maxBytes int, dst []*Entry) (entries []*Entry, reached uint64, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if after < w.floor || w.filling && after < w.head {
		return dst, after, false
	}
	if after >= w.head {
		return dst, after, true
	}
	lines := [3]line{w.lineLocked(Target{Machine: t.Machine}, after), w.lineLocked(Target{Account: t.Account}, after), w.lineLocked(Target{}, after)}
	if t.Machine == "" {
		lines[0] = line{}
	}
	if t.Account == "" {
		lines[1] = line{}
	}
	now := time.Now()
	for taken := 0; ; {
		e := nextOf(&lines)
		if e == nil {
			return dst, w.head, true
		}
		if taken >= maxBytes && taken > 0 {
			return dst, e.Seq - 1, true
		}
		if !e.Expired(now) {
			dst, taken = append(dst, e), taken+len(e.frame)
		}
	}
}

// line is what is left to read of one target's entries.
type line struct {
	ring *ring
	at   int
}

func (w *window) lineLocked(t Target, after uint64) line {
	s := w.targets[t]
	if s == nil {
		return line{}
	}
	n := s.line.len()
	return line{&s.line, sort.Search(n, func(i int) bool { return s.line.at(i).Seq > after })}
}

// nextOf takes the earliest entry of all lines.
func nextOf(lines *[3]line) *Entry {
	var first *line
	for i := range lines {
		l := &lines[i]
		if l.ring == nil || l.at == l.ring.len() {
			continue
		}
		if first == nil || l.ring.at(l.at).Seq < first.ring.at(first.at).Seq {
			first = l
		}
	}
	if first == nil {
		return nil
	}
	first.at++
	return first.ring.at(first.at - 1)
}

func (w *window) span() (floor, head uint64) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.floor, w.head
}

func (w *window) size() (bytes, entries int) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.bytes + int(w.bareBytes.Load()), w.order.len()
}

// ring is a queue of entries that can be looked into. Its length is a power of two.
type ring struct {
	slots       []*Entry
	first, size int
}

func (r *ring) len() int { return r.size }

func (r *ring) at(i int) *Entry { return r.slots[(r.first+i)&(len(r.slots)-1)] }

func (r *ring) push(e *Entry) {
	if r.size == len(r.slots) {
		r.resize(max(1, 2*len(r.slots)))
	}
	r.slots[(r.first+r.size)&(len(r.slots)-1)] = e
	r.size++
}

// pop takes the oldest entry out; nil if there is none.
func (r *ring) pop() *Entry {
	if r.size == 0 {
		return nil
	}
	e := r.slots[r.first]
	r.slots[r.first] = nil
	r.first = (r.first + 1) & (len(r.slots) - 1)
	r.size--
	if len(r.slots) > 64 && r.size < len(r.slots)/4 {
		r.resize(len(r.slots) / 2)
	}
	return e
}

func (r *ring) resize(n int) {
	slots := make([]*Entry, n)
	for i := range r.size {
		slots[i] = r.at(i)
	}
	r.slots, r.first = slots, 0
}
