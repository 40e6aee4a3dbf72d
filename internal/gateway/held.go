package gateway

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Held is a deletion that looks like a mistake or is not proved. Whoever it concerns is told to come
// back and keep the key, until the row is there again, a credible answer misses it, or an operator
// confirms.
type Held struct {
	// Kind is "account" or "machine".
	Kind  string
	ID    string
	Since time.Time
	Why   string
}

// heldSet is what is held on this node.
type heldSet struct {
	brake brake

	mu sync.Mutex
	// Guarded by mu.
	entries map[subject]*heldEntry
	perKind [2]int
	braked  int // entries that only an operator or the row itself can free
}

type heldEntry struct {
	since, seen time.Time
	why         string
	isBraked    bool
}

const (
	// heldMost bounds the list. What does not fit is held all the same, each time anew.
	heldMost = 1 << 17
	// heldFor is how long an entry stays that nobody meets any more.
	heldFor = time.Hour
)

func newHeldSet() *heldSet { return &heldSet{entries: make(map[subject]*heldEntry)} }

// add holds s. A deletion that was braked stays so.
func (h *heldSet) add(s subject, why string, isBraked bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	e := h.entries[s]
	if e == nil {
		if len(h.entries) >= heldMost {
			return
		}
		e = &heldEntry{since: now, why: why}
		h.entries[s] = e
		h.perKind[s.kind]++
	}
	e.seen = now
	if isBraked && !e.isBraked {
		e.isBraked, e.why = true, why
		h.braked++
	}
}

// drop frees s and tells whether it was held.
func (h *heldSet) drop(s subject) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropLocked(s)
}

func (h *heldSet) dropLocked(s subject) bool {
	e := h.entries[s]
	if e == nil {
		return false
	}
	if e.isBraked {
		h.braked--
	}
	delete(h.entries, s)
	h.perKind[s.kind]--
	return true
}

func (h *heldSet) isBraked(s subject) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[s]
	return e != nil && e.isBraked
}

// isBraking tells whether too much was deleted at once: then no absence is believed that nobody
// reported, for it may be part of the same mistake.
func (h *heldSet) isBraking() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.braked > 0
}

// forget drops what nobody has met for long, but nothing that was braked.
func (h *heldSet) forget(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s, e := range h.entries {
		if !e.isBraked && now.Sub(e.seen) > heldFor {
			h.dropLocked(s)
		}
	}
}

// countWith is how much is held of s's kind, s included.
func (h *heldSet) countWith(s subject) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.perKind[s.kind]
	if h.entries[s] == nil {
		n++
	}
	return n
}

// subjects are what is held of one kind.
func (h *heldSet) subjects(kind subjectKind) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for s := range h.entries {
		if s.kind == kind {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// list is everything, the oldest first.
func (h *heldSet) list() []Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Held, 0, len(h.entries))
	for s, e := range h.entries {
		list = append(list, Held{Kind: s.kind.String(), ID: s.id, Since: e.since, Why: e.why})
	}
	slices.SortFunc(list, func(a, b Held) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// brake counts reported deletions that nobody asked this installation for.
type brake struct {
	mu sync.Mutex
	// Guarded by mu.
	times []time.Time // when those of the last second came that were let through
	until time.Time   // until when all are stopped
}

const (
	// brakeLeast is how many deletions within a second are never too many.
	brakeLeast  = 10
	brakeWindow = time.Second
)

// stops counts one deletion and tells whether it is one too many: more within a second than ten and
// than a fifth of the sessions, and from then on until they pause for a second.
func (b *brake) stops(now time.Time, sessions int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.until) {
		b.until = now.Add(brakeWindow)
		return true
	}
	old := 0
	for old < len(b.times) && now.Sub(b.times[old]) >= brakeWindow {
		old++
	}
	b.times = slices.Delete(b.times, 0, old)
	if len(b.times) >= max(brakeLeast, sessions/5) {
		b.until = now.Add(brakeWindow)
		return true
	}
	b.times = append(b.times, now)
	return false
}
