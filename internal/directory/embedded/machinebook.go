package embedded

import (
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
	slots     map[string]*slot // by key
	byID      map[string]*slot
	byAccount map[string]map[*slot]struct{}
	news      map[string]news // by machine id
	bad       int             // slots that cannot be read
	order     idOrder
}

// slot is what is known under one key. It is never written to, only replaced.
type slot struct {
	key      string
	revision uint64
	state    pageState // alive: there is a record, whatever it says of its machines
	record   slotRecord
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
	b.slots = make(map[string]*slot)
	b.byID = make(map[string]*slot)
	b.byAccount = make(map[string]map[*slot]struct{})
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
	was := b.slots[key]
	if was == nil {
		was = &slot{key: key}
	} else if revision <= was.revision {
		return
	}
	now := b.read(was, value, revision)
	b.file(was, now)
	for _, e := range machineChanges(was, now) {
		b.feed.Push(e)
	}
	for _, l := range now.record.Lives {
		if l.isDeleted() && was.record.find(l.ID) < 0 {
			// It came and went at another node before this one read of it.
			b.feed.PushIfLive(directory.Event{Kind: directory.Gone, ID: l.ID, Asked: true})
		}
	}
}

func (b *machineBook) applyNews(id string, value []byte, revision uint64) {
	was := b.news[id]
	if revision <= was.revision {
		return
	}
	record, err := parseSeen(value)
	if err != nil {
		if value != nil {
			b.log.Error("skipping news of a machine", "machine", id, "revision", revision, "err", err)
		}
		return
	}
	if was.At.After(record.At) {
		record.At = was.At
	}
	b.news[id] = news{seenRecord: record, revision: revision}
}

// read makes the slot that follows was.
func (b *machineBook) read(was *slot, value []byte, revision uint64) *slot {
	now := &slot{key: was.key, revision: revision}
	if value == nil {
		return now
	}
	record, err := parseSlot(was.key, value)
	if err != nil {
		b.log.Error("skipping the record of machines", "key", was.key, "revision", revision, "err", err)
		now.state, now.record = bad, was.record
		return now
	}
	now.state, now.record = alive, record
	return now
}

// file puts a slot in its places. A bad slot keeps the machines of the record before: they are not
// absent, and not found either.
func (b *machineBook) file(was, now *slot) {
	for _, l := range was.record.Lives {
		delete(b.byID, l.ID)
	}
	delete(b.byAccount[was.record.Account], was)
	if was.state == bad {
		b.bad--
	}
	if now.state == bad {
		b.bad++
	}
	b.slots[now.key] = now
	for _, l := range now.record.Lives {
		b.byID[l.ID] = now
		if was.record.find(l.ID) < 0 {
			b.order.add(l.ID)
		}
	}
	if account := now.record.Account; account != "" {
		if b.byAccount[account] == nil {
			b.byAccount[account] = make(map[*slot]struct{})
		}
		b.byAccount[account][now] = struct{}{}
	}
}

// machineChanges tells of machines that were deleted or are back.
func machineChanges(was, now *slot) []directory.Event {
	if now.state == bad {
		return nil
	}
	var events []directory.Event
	for _, l := range was.record.Lives {
		i := now.record.find(l.ID)
		lives := i >= 0 && !now.record.Lives[i].isDeleted()
		switch {
		case !l.isDeleted() && !lives:
			events = append(events, directory.Event{Kind: directory.Gone, ID: l.ID, Asked: i >= 0})
		case l.isDeleted() && lives:
			events = append(events, directory.Event{Kind: directory.Changed, ID: l.ID})
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
	return b.answerLocked(s, s.record.find(id))
}

// answerLocked is Found or Deleted, as life i of s is.
func (b *machineBook) answerLocked(s *slot, i int) directory.MachineAnswer {
	a := directory.MachineAnswer{Verdict: directory.Found, Machine: b.machineLocked(s, i)}
	if s.record.Lives[i].isDeleted() {
		a.Verdict = directory.Deleted
	}
	return a
}

func (b *machineBook) machineLocked(s *slot, i int) directory.Machine {
	l := s.record.Lives[i]
	m := directory.Machine{
		ID: l.ID, AccountID: s.record.Account, Default: s.record.isDefault(), Info: l.Info,
		EnrolledAt: l.EnrolledAt, LastSeenAt: l.EnrolledAt, DeletedAt: l.DeletedAt,
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
	for s := range b.byAccount[account] {
		if i := s.record.alive(); i >= 0 {
			ids = append(ids, s.record.Lives[i].ID)
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
	i := s.record.find(n.MachineID)
	if s.record.Lives[i].isDeleted() {
		return seenRecord{}, false
	}
	known := b.machineLocked(s, i)
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
	for _, id := range b.order.after(f.After) {
		s := b.byID[id]
		if s == nil || s.state != alive || f.AccountID != "" && s.record.Account != f.AccountID {
			continue
		}
		i := s.record.find(id)
		if s.record.Lives[i].isDeleted() != f.Deleted {
			continue
		}
		if page = append(page, b.machineLocked(s, i)); len(page) == f.Limit {
			break
		}
	}
	return page
}

// idOrder keeps ids in order without paying for it at each new one.
type idOrder struct {
	sorted []string
	added  []string
}

func (o *idOrder) add(id string) { o.added = append(o.added, id) }

// after are the ids greater than id.
func (o *idOrder) after(id string) []string {
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
