package embedded

import (
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// seenWithin is how exactly it is known when a machine was last seen. Those that come back soon, a
// whole fleet after a restart among them, are no news.
const seenWithin = time.Minute

// changes are what has to be stored of news: of machines that exist, and that say more than is known.
// What a machine says of itself goes into its record, when it was seen onto a page with others.
func (b *machineBook) changes(all []directory.Seen) []change {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var changes []change
	pages := make(map[int][]seenLine)
	for _, n := range all {
		f, found := b.findLocked(n.MachineID)
		if !found || f.slot.state != alive || f.Lives[f.life].isDeleted() {
			continue
		}
		l := &f.Lives[f.life]
		known := b.lastSeenLocked(*l)
		switch {
		case n.Info != nil && *n.Info != l.Info:
			l.Info, l.SeenAt = *n.Info, later(n.At.UTC(), known)
			changes = append(changes, change{f.key(), encode(f.slotRecord), f.slot.revision})
		case n.At.Sub(known) >= seenWithin:
			page, line := lineOf(n.MachineID, n.At)
			pages[page] = append(pages[page], line)
		}
	}
	for page, lines := range pages {
		p := b.seen[page]
		changes = append(changes, change{pageKey(page), encodePage(p.with(lines)), p.revision})
	}
	return changes
}

// lastSeenLocked is when a machine was last seen, wherever that is written.
func (b *machineBook) lastSeenLocked(l lifeRecord) time.Time {
	return later(later(l.EnrolledAt, l.SeenAt), b.seen.at(l.ID))
}

func later(t, u time.Time) time.Time {
	if u.After(t) {
		return u
	}
	return t
}

// applySeenLocked takes in a page, or the news that an earlier version kept of one machine.
func (b *machineBook) applySeenLocked(key string, value []byte, revision uint64) {
	var err error
	if page, ok := strings.CutPrefix(key, pagePrefix); ok {
		err = b.seen.apply(page, value, revision)
	} else if value != nil {
		err = b.applyNewsLocked(strings.TrimPrefix(key, seenPrefix), value, revision)
	}
	if err != nil {
		b.log.Error("skipping news of machines", "key", key, "revision", revision, "err", err)
	}
}

// news are those of an earlier version, which kept them under a key for each machine.
type news struct {
	seenRecord
	revision uint64
}

// applyNewsLocked writes news into the record of their machine, here in memory. What is there is at
// least as new if it is as late.
func (b *machineBook) applyNewsLocked(id string, value []byte, revision uint64) error {
	record, err := parseSeen(value)
	if err != nil {
		return err
	}
	f, found := b.findLocked(id)
	if !found {
		if revision > b.early[id].revision {
			b.early[id] = news{record, revision}
		}
		return nil
	}
	if l := &f.Lives[f.life]; record.At.After(l.SeenAt) {
		record.tell(l)
		b.slots.keep(f.number, b.words.pack(f.slot.house, f.slotRecord))
	}
	return nil
}

// tell writes the news into the life of their machine.
func (r seenRecord) tell(l *lifeRecord) {
	l.SeenAt = r.At
	if r.Info != nil {
		l.Info = *r.Info
	}
}

// keepNewsLocked writes into a new record what an earlier version has not written there: news that
// were known before it, and news that came before it.
func (b *machineBook) keepNewsLocked(before, after slotRecord) {
	for i := range after.Lives {
		l := &after.Lives[i]
		if j := before.find(l.ID); j >= 0 && before.Lives[j].SeenAt.After(l.SeenAt) {
			l.SeenAt, l.Info = before.Lives[j].SeenAt, before.Lives[j].Info
		}
		if n, isEarly := b.early[l.ID]; isEarly {
			if n.At.After(l.SeenAt) {
				n.tell(l)
			}
			delete(b.early, l.ID)
		}
	}
}
