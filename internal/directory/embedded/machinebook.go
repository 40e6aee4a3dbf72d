package embedded

import (
	"crypto/sha256"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
)

// machineBook is the machines in memory: their slots, and the news of them.
type machineBook struct {
	// Fixed after construction.
	log  *slog.Logger
	feed *feed.Feed // written under mu, so that events are in the order of changes

	mu sync.RWMutex
	// Guarded by mu.
	slots  map[place]*slot
	byID   map[string]*slot
	houses map[string]*house // by account
	news   map[string]news   // by machine id, where it is more than a time
	bad    int               // slots that cannot be read
	order  idOrder
}

// slot is what is known under one key. But for seenAt it is never written to, only replaced.
type slot struct {
	house    *house // nil: there is no record
	lives    packed
	revision uint64
	seenAt   int64     // Unix nanoseconds: when the latest life was last seen; 0: look among the news
	state    pageState // alive: there is a record, whatever it says of its machines
}

// record is made anew with each call.
func (s *slot) record() slotRecord {
	if s.house == nil {
		return slotRecord{}
	}
	return s.lives.unpack(s.house.account)
}

// house is an account's slots. They share its name.
type house struct {
	account string
	slots   map[*slot]struct{}
}

// place stands for a key: half a hash is enough to tell keys apart, and shorter than they are.
type place [sha256.Size / 2]byte

func placeOf(key string) place {
	sum := sha256.Sum256([]byte(key))
	return place(sum[:sha256.Size/2])
}

type news struct {
	seenRecord
	revision uint64
}

func newMachineBook(log *slog.Logger) *machineBook {
	b := &machineBook{log: log, feed: feed.New(unavailable(errLoading))}
	b.reset()
	return b
}

func (b *machineBook) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots = make(map[place]*slot)
	b.byID = make(map[string]*slot)
	b.houses = make(map[string]*house)
	b.news = make(map[string]news)
	b.bad, b.order = 0, idOrder{}
}

func (b *machineBook) apply(key string, value []byte, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id, ok := strings.CutPrefix(key, seenPrefix); ok {
		b.applyNews(id, value, revision)
		return
	}
	at := placeOf(key)
	was := b.slots[at]
	if was == nil {
		was = &slot{}
	} else if revision <= was.revision {
		return
	}
	before := was.record()
	now, after := b.read(key, was, before, value, revision)
	b.slots[at] = now
	b.file(was, now, before, after)
	for _, e := range machineChanges(now.state, before, after) {
		b.feed.Push(e)
	}
	for _, l := range after.Lives {
		if l.isDeleted() && before.find(l.ID) < 0 {
			// It came and went at another node before this one read of it.
			b.feed.PushIfLive(directory.Event{Kind: directory.Gone, ID: strings.Clone(l.ID), Asked: true})
		}
	}
}

// applyNews keeps the time in the machine's slot, if that is all there is.
func (b *machineBook) applyNews(id string, value []byte, revision uint64) {
	was, isKnown := b.news[id]
	if isKnown && revision <= was.revision {
		return
	}
	record, err := parseSeen(value)
	if err != nil {
		if value != nil {
			b.log.Error("skipping news of a machine", "machine", id, "revision", revision, "err", err)
		}
		return
	}
	s := b.byID[id]
	if s != nil && s.record().latest() == id {
		if record.Info == nil && !isKnown {
			s.seenAt = max(s.seenAt, record.At.UnixNano())
			return
		}
		was.At = later(was.At, s.seen())
	}
	record.At = later(record.At, was.At)
	b.news[strings.Clone(id)] = news{seenRecord: record, revision: revision}
}

func later(t, u time.Time) time.Time {
	if u.After(t) {
		return u
	}
	return t
}

// seen is zero if the slot does not know.
func (s *slot) seen() time.Time {
	if s.seenAt == 0 {
		return time.Time{}
	}
	return time.Unix(0, s.seenAt).UTC()
}

// read makes the slot that follows was, and its record.
func (b *machineBook) read(key string, was *slot, before slotRecord, value []byte, revision uint64) (*slot, slotRecord) {
	now := &slot{revision: revision}
	if value == nil {
		return now, slotRecord{}
	}
	record, err := parseSlot(key, value)
	if err != nil {
		b.log.Error("skipping the record of machines", "key", key, "revision", revision, "err", err)
		now.state, now.house, now.lives = bad, was.house, was.lives
		return now, before
	}
	now.state, now.house, now.lives = alive, b.houseOf(record.Account), pack(record)
	return now, now.record() // of its own memory: value may be part of something larger
}

func (b *machineBook) houseOf(account string) *house {
	h := b.houses[account]
	if h == nil {
		h = &house{account: strings.Clone(account), slots: make(map[*slot]struct{})}
		b.houses[h.account] = h
	}
	return h
}

// file puts a slot in its places. A bad slot keeps the machines of the record before: they are not
// absent, and not found either.
func (b *machineBook) file(was, now *slot, before, after slotRecord) {
	for _, l := range before.Lives {
		delete(b.byID, l.ID)
	}
	if was.house != nil {
		delete(was.house.slots, was)
	}
	if was.state == bad {
		b.bad--
	}
	if now.state == bad {
		b.bad++
	}
	for _, l := range after.Lives {
		b.byID[l.ID] = now
		if before.find(l.ID) < 0 {
			b.order.add(l.ID)
		}
	}
	if now.house != nil {
		now.house.slots[now] = struct{}{}
	}
	if id := before.latest(); id == after.latest() {
		now.seenAt = was.seenAt
	} else if n, isKnown := b.news[id]; was.seenAt != 0 && !isKnown {
		n.At = was.seen()
		b.news[strings.Clone(id)] = n
	}
}

// machineChanges tells of machines that were deleted or are back.
func machineChanges(state pageState, before, after slotRecord) []directory.Event {
	if state == bad {
		return nil
	}
	var events []directory.Event
	for _, l := range before.Lives {
		i := after.find(l.ID)
		lives := i >= 0 && !after.Lives[i].isDeleted()
		switch {
		case !l.isDeleted() && !lives:
			events = append(events, directory.Event{Kind: directory.Gone, ID: strings.Clone(l.ID), Asked: i >= 0})
		case l.isDeleted() && lives:
			events = append(events, directory.Event{Kind: directory.Changed, ID: strings.Clone(l.ID)})
		}
	}
	return events
}

// check answers for an id.
func (b *machineBook) check(id string) directory.MachineAnswer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.byID[id]
	switch {
	case s == nil && b.bad > 0, s != nil && s.state == bad:
		return directory.MachineAnswer{} // it may be in a record that cannot be read
	case s == nil:
		return directory.MachineAnswer{Verdict: directory.NotFound}
	}
	r := s.record()
	return b.answerLocked(s, r, r.find(id))
}

// answerLocked is Found or Deleted, as life i of s is, whose record is r.
func (b *machineBook) answerLocked(s *slot, r slotRecord, i int) directory.MachineAnswer {
	a := directory.MachineAnswer{Verdict: directory.Found, Machine: b.machineLocked(s, r, i)}
	if r.Lives[i].isDeleted() {
		a.Verdict = directory.Deleted
	}
	return a
}

func (b *machineBook) machineLocked(s *slot, r slotRecord, i int) directory.Machine {
	l := r.Lives[i]
	m := directory.Machine{
		ID: l.ID, AccountID: r.Account, Default: r.isDefault(), Info: l.Info,
		EnrolledAt: l.EnrolledAt, LastSeenAt: l.EnrolledAt, DeletedAt: l.DeletedAt,
	}
	if s.seenAt != 0 && i == len(r.Lives)-1 {
		m.LastSeenAt = s.seen()
	}
	if n, ok := b.news[l.ID]; ok {
		m.LastSeenAt = n.At
		if n.Info != nil {
			m.Info = *n.Info
		}
	}
	if m.Name = m.Info.Hostname; m.Name == "" {
		m.Name = m.ID
	}
	return m
}

// place finds the slot that holds a machine.
func (b *machineBook) place(id string) (slot, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if s := b.byID[id]; s != nil {
		return *s, true
	}
	return slot{}, false
}

// hasBad tells whether there are machines that cannot be known.
func (b *machineBook) hasBad() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.bad > 0
}

// living are the ids of an account's machines that exist.
func (b *machineBook) living(account string) []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var ids []string
	h := b.houses[account]
	if h == nil {
		return nil
	}
	for s := range h.slots {
		r := s.record()
		if i := r.alive(); i >= 0 {
			ids = append(ids, r.Lives[i].ID)
		}
	}
	return ids
}

// seenWithin is how exactly it is known when a machine was last seen. Those that come back soon, a
// whole fleet after a restart among them, are no news.
const seenWithin = time.Minute

// isNews tells whether n says more of an existing machine than is known, and returns what to store.
func (b *machineBook) isNews(n directory.Seen) (seenRecord, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.byID[n.MachineID]
	if s == nil || s.state != alive {
		return seenRecord{}, false
	}
	r := s.record()
	i := r.find(n.MachineID)
	if r.Lives[i].isDeleted() {
		return seenRecord{}, false
	}
	known := b.machineLocked(s, r, i)
	next := seenRecord{At: n.At, Info: b.news[n.MachineID].Info}
	if n.Info != nil && *n.Info != known.Info {
		next.Info = n.Info
	} else if n.At.Sub(known.LastSeenAt) < seenWithin {
		return seenRecord{}, false
	}
	return next, true
}

// list returns machines in order of id.
func (b *machineBook) list(f directory.MachineFilter) []directory.Machine {
	b.mu.Lock() // the order is put right by whoever reads it
	defer b.mu.Unlock()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	var page []directory.Machine
	for _, id := range b.order.after(f.After, b.byID) {
		s := b.byID[id]
		if s == nil || s.state != alive || f.AccountID != "" && s.house.account != f.AccountID {
			continue
		}
		r := s.record()
		i := r.find(id)
		if r.Lives[i].isDeleted() != f.Deleted {
			continue
		}
		if page = append(page, b.machineLocked(s, r, i)); len(page) == f.Limit {
			break
		}
	}
	return page
}

// idOrder keeps ids in order, from the first time that somebody asks for it, without paying for it at
// each new one.
type idOrder struct {
	isAsked bool
	sorted  []string
	added   []string
}

// add notes a new id. Its memory is of its own: the record it comes from may be replaced.
func (o *idOrder) add(id string) {
	if o.isAsked {
		o.added = append(o.added, strings.Clone(id))
	}
}

// after are the ids greater than id, of those in all and some that were there before.
func (o *idOrder) after(id string, all map[string]*slot) []string {
	if !o.isAsked {
		o.isAsked = true
		for id := range all {
			o.add(id)
		}
	}
	if len(o.added) > 0 {
		o.sorted = append(o.sorted, o.added...)
		slices.Sort(o.sorted)
		o.sorted, o.added = slices.Compact(o.sorted), nil
	}
	i, found := slices.BinarySearch(o.sorted, id)
	if found {
		i++
	}
	return o.sorted[i:]
}
