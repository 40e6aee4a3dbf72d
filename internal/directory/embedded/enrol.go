package embedded

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fleetline/fleetline/internal/directory"
)

// enrolling is how many machines are written at once.
const enrolling = 64

// decision is what becomes of an enrolment: an answer, or a record to be written first.
type decision struct {
	answer  directory.MachineAnswer
	isWrite bool
	isNew   bool // the write is of a new machine
	next    slotRecord
	// revision is that of the record that next follows.
	revision uint64
}

// roll is one call of Enrol under way.
type roll struct {
	enrolments []directory.Enrolment
	answers    []directory.MachineAnswer
	open       []int // those without an answer yet
	isSynced   bool  // memory has caught up since the call
	isFull     bool  // nothing new may be stored
	// made are the ids that new machines were to get; one that is answered was stored.
	made map[string]bool
}

// Enrol finds or makes the machine of each enrolment, in order. Each round decides from memory and
// writes what has to be written; whoever lost to another writer decides again from what that one
// wrote.
func (m *Machines) Enrol(ctx context.Context, es []directory.Enrolment) []directory.MachineAnswer {
	r := &roll{enrolments: es, answers: make([]directory.MachineAnswer, len(es)), open: make([]int, len(es)), made: make(map[string]bool)}
	if !m.bucket.isLive() {
		return r.answers
	}
	for i := range r.open {
		r.open[i] = i
	}
	r.isFull = m.bucket.isFull(ctx)
	for range attempts {
		writes, mustSync := m.decideAll(r)
		if len(r.open) == 0 {
			break
		}
		conflict, err := m.write(ctx, writes)
		if err != nil {
			m.decideAll(r) // some may have been written
			break
		}
		if conflict || mustSync {
			if m.bucket.sync(ctx) != nil {
				break
			}
			r.isSynced = true
		}
	}
	return r.answers // those still open are Unavailable
}

// decideAll answers what it can. Of the enrolments that want to write to the same slot, one does, and
// the others decide again after it.
func (m *Machines) decideAll(r *roll) (writes map[string]decision, mustSync bool) {
	open := r.open
	r.open = r.open[:0]
	for _, i := range open {
		d := m.decide(r.enrolments[i])
		switch {
		case d.isNew && r.isFull:
			// There is no room for another; deletions need what is left.
		case d.isWrite:
			r.open = append(r.open, i)
			if writes == nil {
				writes = make(map[string]decision)
			}
			if _, taken := writes[d.next.key()]; !taken {
				writes[d.next.key()] = d
				if d.isNew {
					r.made[d.next.Lives[len(d.next.Lives)-1].ID] = true
				}
			}
		case d.answer.Verdict == directory.Deleted && !r.isSynced:
			r.open = append(r.open, i) // it may have been readmitted elsewhere
			mustSync = true
		default:
			r.answers[i] = d.answer
			r.answers[i].New = r.made[d.answer.Machine.ID]
			delete(r.made, d.answer.Machine.ID) // the first of several that ask for it has made it
		}
	}
	return writes, mustSync
}

// write stores records, many at once. Lost races are no error.
func (m *Machines) write(ctx context.Context, writes map[string]decision) (conflict bool, err error) {
	list := make([]decision, 0, len(writes))
	for _, d := range writes {
		list = append(list, d)
	}
	errs := make([]error, len(list))
	parallel(len(list), enrolling, func(i int) {
		d := list[i]
		errs[i] = m.bucket.update(ctx, d.next.key(), encode(d.next), d.revision)
	})
	for _, e := range errs {
		if errors.Is(e, errConflict) {
			conflict = true
		} else if e != nil {
			err = e
		}
	}
	return conflict, err
}

// decide goes by memory alone. A machine known by its id is that one, whatever its hwid is now;
// otherwise the hwid counts, and without one it is the default machine.
func (m *Machines) decide(e directory.Enrolment) decision {
	isDeleted, isKept := m.account(e.AccountID)
	if isDeleted || !utf8.ValidString(e.AccountID) {
		return decision{} // its keys open nothing any more; the next look-up says so
	}
	b := m.book
	b.mu.RLock()
	defer b.mu.RUnlock()
	var info directory.MachineInfo
	if e.Info != nil {
		info = *e.Info
	}
	info.HWID = strings.ToValidUTF8(info.HWID, "\uFFFD")
	if f, found := b.findLocked(e.MachineID); found && f.Account == e.AccountID {
		switch l := f.Lives[f.life]; {
		case f.slot.state == bad:
			return decision{}
		case l.isRefused(e.Digest):
			return decision{answer: b.answerLocked(f.slotRecord, f.life)}
		case !l.isDeleted() || info.HWID == "":
			return m.decideLocked(held{f.slotRecord, f.slot.revision, f.slot.state}, e, info, isKept)
		}
	}
	in := b.slotLocked(e.AccountID, info.HWID)
	if in.state == absent {
		in.slotRecord = slotRecord{Account: e.AccountID, HWID: info.HWID}
	}
	return m.decideLocked(in, e, info, isKept)
}

// decideLocked decides within a slot. A key that a default machine was deleted under stays refused,
// even after another key has made a new one: many machines share it, and those with the old key are
// the deleted ones. A machine with a hwid of its own that was enrolled anew exists.
func (m *Machines) decideLocked(in held, e directory.Enrolment, info directory.MachineInfo, isKept bool) decision {
	if in.state == bad {
		return decision{}
	}
	r := in.slotRecord
	refused, living := r.refused(e.Digest), r.alive()
	switch {
	case refused >= 0 && (living < 0 || r.isDefault()):
		return decision{answer: m.book.answerLocked(r, refused)}
	case living < 0:
		return decision{isWrite: true, isNew: true, next: r.plus(m.newLife(e, info)), revision: in.revision}
	case !isKept && r.Lives[living].Key != digest(e.Digest):
		// Should it be deleted, it is under the key it came with last: the account is kept elsewhere.
		next := r.with(living, func(l *lifeRecord) { l.Key = digest(e.Digest) })
		return decision{isWrite: true, next: next, revision: in.revision}
	}
	return decision{answer: m.book.answerLocked(r, living)}
}

func (m *Machines) newLife(e directory.Enrolment, info directory.MachineInfo) lifeRecord {
	return lifeRecord{
		ID:         directory.NewMachineID(m.installation),
		Key:        digest(e.Digest),
		Info:       info,
		EnrolledAt: time.Now().UTC().Truncate(time.Millisecond),
	}
}

// account tells whether the account is kept in this directory, and whether it was deleted.
func (m *Machines) account(id string) (isDeleted, isKept bool) {
	switch m.accounts.page(id).state {
	case deleted:
		return true, true
	case alive:
		return false, true
	}
	return false, false
}
