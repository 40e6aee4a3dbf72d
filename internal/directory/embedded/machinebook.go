package embedded

import (
	"crypto/sha256"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/fleetline/fleetline/internal/hashed"
)

// machineBook is the machines in memory: their slots, and the news of them.
type machineBook struct {
	// Fixed after construction.
	log  *slog.Logger
	feed *feed.Feed // written under mu, so that events are in the order of changes
	seed maphash.Seed

	mu sync.RWMutex
	// Guarded by mu.
	slots  slots
	places hashed.Table      // of the slots by place
	ids    hashed.Table      // and by the id of each machine they hold
	words  *words            // of the slots
	houses map[string]*house // by account
	seen   *seenPages
	early  map[string]news // by machine id, of machines that are not known yet
	bad    int             // slots that cannot be read
	order  idOrder
}

// place stands for a key: half a hash is enough to tell keys apart, and shorter than they are.
type place [sha256.Size / 2]byte

func placeOf(key string) place {
	sum := sha256.Sum256([]byte(key))
	return place(sum[:sha256.Size/2])
}

func newMachineBook(log *slog.Logger) *machineBook {
	b := &machineBook{log: log, feed: feed.New(unavailable(errLoading)), seed: maphash.MakeSeed()}
	b.reset()
	return b
}

func (b *machineBook) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots, b.places, b.ids, b.words = slots{}, hashed.Table{}, hashed.Table{}, newWords()
	b.houses = make(map[string]*house)
	b.seen, b.early = new(seenPages), make(map[string]news)
	b.bad, b.order = 0, idOrder{}
}

// slotLocked is the slot of an account's hwid: that of an earlier version, if there is one. A record
// that was removed leaves its revision.
func (b *machineBook) slotLocked(account, hwid string) held {
	if n, found := b.atLocked(placeOf(longSlotKey(account, hwid))); found && b.slots.at(n).state != absent {
		return b.heldLocked(b.slots.at(n))
	}
	if n, found := b.atLocked(placeOf(slotKey(account, hwid))); found {
		return b.heldLocked(b.slots.at(n))
	}
	return held{}
}

// atLocked finds the slot of a key.
func (b *machineBook) atLocked(at place) (n uint32, found bool) {
	return b.places.Find(maphash.Comparable(b.seed, at), func(n uint32) bool { return b.slots.at(n).place == at })
}

// finding is a machine and the slot it was found in.
type finding struct {
	number uint32 // of the slot
	slot   *slot
	slotRecord
	life int // which of the record's lives it is
}

// findLocked finds a machine by its id.
func (b *machineBook) findLocked(id string) (f finding, found bool) {
	f.number, found = b.ids.Find(maphash.String(b.seed, id), func(n uint32) bool {
		f.slot = b.slots.at(n)
		f.slotRecord = b.recordLocked(f.slot)
		f.life = f.slotRecord.find(id)
		return f.life >= 0
	})
	return f, found
}

// recordLocked is made anew with each call.
func (b *machineBook) recordLocked(s *slot) slotRecord {
	if s.lives == "" {
		return slotRecord{}
	}
	r := b.words.unpack(s.house, s.lives)
	r.isLong = s.isLong
	return r
}

func (b *machineBook) apply(key string, value []byte, revision uint64, isOwn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(key, seenPrefix) {
		b.applySeenLocked(key, value, revision)
		return
	}
	at := placeOf(key)
	n, known := b.atLocked(at)
	if !known {
		n = b.slots.add(at)
		b.places.Add(maphash.Comparable(b.seed, at), n)
	}
	s := b.slots.at(n)
	if revision <= s.revision {
		return
	}
	before := b.recordLocked(s)
	after := b.readLocked(n, key, before, value, revision)
	b.fileLocked(n, before, after)
	for _, e := range machineChanges(s.state, before, after) {
		e.Proven = isOwn && e.Asked
		b.feed.Push(e)
	}
	for _, l := range after.Lives {
		if l.isDeleted() && before.find(l.ID) < 0 {
			// It came and went at another node before this one read of it.
			b.feed.PushIfLive(directory.Event{Kind: directory.Gone, ID: l.ID, Asked: true})
		}
	}
}

// readLocked puts a record into slot n and returns it. A bad slot keeps the machines of the record
// before: they are not absent, and not found either.
func (b *machineBook) readLocked(n uint32, key string, before slotRecord, value []byte, revision uint64) slotRecord {
	s := b.slots.at(n)
	s.revision = revision
	if s.state == bad {
		b.bad--
	}
	if value == nil {
		s.state = absent
		b.slots.keep(n, "")
		return slotRecord{}
	}
	record, err := parseSlot(key, value)
	if err != nil {
		b.log.Error("skipping the record of machines", "key", key, "revision", revision, "err", err)
		s.state = bad
		b.bad++
		return before
	}
	if s.house == nil {
		s.house = b.houseLocked(record.Account)
		s.next, s.house.first = s.house.first, n+1
	}
	b.keepNewsLocked(before, record)
	s.state, s.isLong = alive, record.isLong
	b.slots.keep(n, b.words.pack(s.house, record))
	return record
}

func (b *machineBook) houseLocked(account string) *house {
	h := b.houses[account]
	if h == nil {
		h = &house{account: strings.Clone(account)}
		b.houses[h.account] = h
	}
	return h
}

// fileLocked lets the machines of slot n be found.
func (b *machineBook) fileLocked(n uint32, before, after slotRecord) {
	for _, l := range before.Lives {
		if after.find(l.ID) < 0 {
			b.ids.Remove(maphash.String(b.seed, l.ID), n)
		}
	}
	for _, l := range after.Lives {
		if before.find(l.ID) < 0 {
			b.ids.Add(maphash.String(b.seed, l.ID), n)
			b.order.add(l.ID)
		}
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
	f, found := b.findLocked(id)
	switch {
	case !found && b.bad > 0, found && f.slot.state == bad:
		return directory.MachineAnswer{} // it may be in a record that cannot be read
	case !found:
		return directory.MachineAnswer{Verdict: directory.NotFound}
	}
	return b.answerLocked(f.slotRecord, f.life)
}

// answerLocked is Found or Deleted, as life i of r is.
func (b *machineBook) answerLocked(r slotRecord, i int) directory.MachineAnswer {
	a := directory.MachineAnswer{Verdict: directory.Found, Machine: b.machineLocked(r, i)}
	if r.Lives[i].isDeleted() {
		a.Verdict = directory.Deleted
	}
	return a
}

func (b *machineBook) machineLocked(r slotRecord, i int) directory.Machine {
	l := r.Lives[i]
	m := directory.Machine{
		ID: l.ID, AccountID: r.Account, Name: l.Info.Hostname, Default: r.isDefault(), Info: l.Info,
		EnrolledAt: l.EnrolledAt, LastSeenAt: b.lastSeenLocked(l), DeletedAt: l.DeletedAt,
	}
	if m.Name == "" {
		m.Name = m.ID
	}
	return m
}

// held is a slot's record as it was at one moment.
type held struct {
	slotRecord
	revision uint64
	state    pageState
}

// holding finds the record that a machine is in.
func (b *machineBook) holding(id string) (held, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f, found := b.findLocked(id)
	if !found {
		return held{}, false
	}
	return held{f.slotRecord, f.slot.revision, f.slot.state}, true
}

func (b *machineBook) heldLocked(s *slot) held {
	return held{b.recordLocked(s), s.revision, s.state}
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
	h := b.houses[account]
	if h == nil {
		return nil
	}
	var ids []string
	for n := h.first; n != 0; n = b.slots.at(n - 1).next {
		r := b.recordLocked(b.slots.at(n - 1))
		if i := r.alive(); i >= 0 {
			ids = append(ids, r.Lives[i].ID)
		}
	}
	return ids
}

// list returns machines in order of id.
func (b *machineBook) list(f directory.MachineFilter) []directory.Machine {
	b.mu.Lock() // the order is put right by whoever reads it
	defer b.mu.Unlock()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	var page []directory.Machine
	for _, id := range b.order.after(f.After, b.allLocked) {
		m, found := b.findLocked(id)
		if !found || m.slot.state != alive || f.AccountID != "" && m.Account != f.AccountID ||
			m.Lives[m.life].isDeleted() != f.Deleted {
			continue
		}
		if page = append(page, b.machineLocked(m.slotRecord, m.life)); len(page) == f.Limit {
			break
		}
	}
	return page
}

// allLocked calls each for every id.
func (b *machineBook) allLocked(each func(id string)) {
	for n := range b.slots.count {
		for _, l := range b.recordLocked(b.slots.at(n)).Lives {
			each(l.ID)
		}
	}
}
