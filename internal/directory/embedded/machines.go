package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// Machines is the face of a Directory that knows machines, for the gateway and for operators. It
// serves accounts that are kept elsewhere too.
type Machines struct {
	bucket       *bucket
	book         *machineBook
	accounts     *accountBook
	installation string
	elsewhere    func(ctx context.Context, account string) []directory.Digest // nil: nothing is kept elsewhere
}

const (
	// deleting is how many machines of one account are deleted at once.
	deleting = 64
	// noting is how many changes of news are written at once: few, so that nobody waits long behind them.
	noting = 64
)

// Check answers for each machine id, in order.
func (m *Machines) Check(ctx context.Context, ids []string) []directory.MachineAnswer {
	return answer(ctx, m.bucket, len(ids),
		func(i int) directory.MachineAnswer { return m.book.check(ids[i]) },
		func(x directory.MachineAnswer) directory.Verdict { return x.Verdict })
}

// Watch reports machines that were deleted or readmitted until ctx ends. A watcher that is slower
// than the changes is told Lost, then Live.
func (m *Machines) Watch(ctx context.Context, report func(directory.Event)) error {
	return m.book.feed.Watch(ctx, m.bucket.life, func(e directory.Event) {
		// What was taken back while the report waited is to be read again.
		e.Proven = e.Proven && m.bucket.isLive() && m.book.check(e.ID).Verdict == directory.Deleted
		report(e)
	})
}

// Seen stores news of machines that exist. Of several of one machine, the latest counts. The first
// failure ends it: news come again.
func (m *Machines) Seen(ctx context.Context, all []directory.Seen) error {
	if !m.bucket.isLive() {
		return directory.ErrUnavailable
	}
	if m.bucket.isFull(ctx) {
		return directory.ErrFull
	}
	if err := m.note(ctx, latest(all)); err != nil {
		return fmt.Errorf("storing news of machines: %w", err)
	}
	return nil
}

// note reads anew what has changed meanwhile, and tries again: news can undo nothing.
func (m *Machines) note(ctx context.Context, all []directory.Seen) error {
	for range attempts {
		isLate := false
		for batch := range slices.Chunk(m.book.changes(all), noting) {
			switch err := m.bucket.updateAll(ctx, batch); {
			case errors.Is(err, errConflict):
				isLate = true
			case err != nil:
				return err
			}
		}
		if !isLate {
			return nil
		}
		if err := m.bucket.sync(ctx); err != nil {
			return unavailable(err)
		}
	}
	return unavailable(errConflict)
}

// latest leaves one piece of news for each machine.
func latest(all []directory.Seen) []directory.Seen {
	at := make(map[string]int, len(all))
	var list []directory.Seen
	for _, n := range all {
		i, known := at[n.MachineID]
		if !known {
			at[n.MachineID] = len(list)
			list = append(list, n)
			continue
		}
		if n.At.After(list[i].At) {
			list[i].At = n.At
		}
		if n.Info != nil {
			list[i].Info = n.Info
		}
	}
	return list
}

// List returns the machines that f chooses.
func (m *Machines) List(_ context.Context, f directory.MachineFilter) ([]directory.Machine, error) {
	if !m.bucket.isLive() {
		return nil, directory.ErrUnavailable
	}
	return m.book.list(f), nil
}

// Delete deletes a machine for good. It stays deleted for all keys that open its account now and, if
// the account is kept elsewhere, for the key it came with last.
func (m *Machines) Delete(ctx context.Context, id string) error {
	err := m.remove(ctx, id, m.elsewhere)
	if err == nil {
		err = m.bucket.harden()
	}
	if err != nil {
		return fmt.Errorf("deleting machine %s: %w", id, err)
	}
	return nil
}

// remove asks elsewhere, if it is not nil, for the keys of an account that is not kept here.
func (m *Machines) remove(ctx context.Context, id string, elsewhere func(context.Context, string) []directory.Digest) error {
	return m.change(ctx, id, func(r slotRecord, i int) (slotRecord, error) {
		if r.Lives[i].isDeleted() {
			return r, errUnchanged
		}
		return r.with(i, func(l *lifeRecord) {
			l.DeletedAt = time.Now().UTC().Truncate(time.Millisecond)
			if l.Under = m.keysOf(r.Account); len(l.Under) == 0 {
				l.Under = keysElsewhere(ctx, r.Account, l.Key, elsewhere)
			}
		}), nil
	})
}

// keysOf are the keys that open an account kept here.
func (m *Machines) keysOf(account string) []digest {
	var keys []digest
	for _, d := range m.accounts.page(account).record.digests(time.Now()) {
		keys = append(keys, digest(d))
	}
	return keys
}

// keysElsewhere are the key that a machine came with last, which may be all that is known, and those
// that open its account now.
func keysElsewhere(ctx context.Context, account string, last digest, ask func(context.Context, string) []directory.Digest) []digest {
	keys := []digest{last}
	if ask == nil {
		return keys
	}
	for _, d := range ask(ctx, account) {
		if digest(d) != last {
			keys = append(keys, digest(d))
		}
	}
	return keys
}

// DeleteAll deletes the machines of an account: each stays deleted for the keys that open its account
// now or, if the account is kept elsewhere, for the key it came with last.
func (m *Machines) DeleteAll(ctx context.Context, account string) error {
	if err := m.bucket.sync(ctx); err != nil {
		return unavailable(err)
	}
	ids := m.book.living(account)
	errs := make([]error, len(ids))
	parallel(len(ids), deleting, func(i int) { errs[i] = m.remove(ctx, ids[i], nil) })
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("deleting its machines: %w", err) // one is enough: they share the cause
		}
	}
	return m.bucket.harden()
}

// Readmit lets a deleted machine live again.
func (m *Machines) Readmit(ctx context.Context, id string) error {
	err := m.change(ctx, id, func(r slotRecord, i int) (slotRecord, error) {
		switch living := r.alive(); {
		case living == i:
			return r, errUnchanged
		case living >= 0:
			return r, fmt.Errorf("%w: %s", directory.ErrReplaced, r.Lives[living].ID)
		}
		return r.with(i, func(l *lifeRecord) { l.DeletedAt, l.Under = time.Time{}, nil }), nil
	})
	if err != nil {
		return fmt.Errorf("readmitting machine %s: %w", id, err)
	}
	return nil
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// change replaces the record of a machine's slot by what edit makes of it. It starts from memory:
// the write fails if that is late, and whether there is nothing to change is decided after asking
// the leader.
func (m *Machines) change(ctx context.Context, id string, edit func(r slotRecord, i int) (slotRecord, error)) error {
	isSynced := false
	for range attempts {
		in, found := m.book.holding(id)
		err := m.changeOnce(ctx, in, found, id, edit)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errConflict) && (isSynced || errors.Is(err, directory.ErrUnavailable)):
			if errors.Is(err, errUnchanged) {
				return nil
			}
			return err
		}
		if err := m.bucket.sync(ctx); err != nil {
			return unavailable(err)
		}
		isSynced = true
	}
	return unavailable(errConflict)
}

func (m *Machines) changeOnce(ctx context.Context, in held, found bool, id string, edit func(slotRecord, int) (slotRecord, error)) error {
	switch {
	case found && in.state == bad, !found && m.book.hasBad():
		return fmt.Errorf("%w: the record cannot be read", directory.ErrUnavailable)
	case !found:
		return directory.ErrNotFound
	}
	next, err := edit(in.slotRecord, in.find(id))
	if err != nil {
		return err
	}
	return m.bucket.update(ctx, in.key(), encode(next), in.revision)
}

// parallel does n things, width at a time, and returns when all are done.
func parallel(n, width int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var next atomic.Int64
	var work sync.WaitGroup
	for range min(n, width) {
		work.Go(func() { // ends when there is nothing left to do
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	work.Wait()
}
