package fleetline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// saveEvery is how far the stored position may lie behind the processed one, in time.
const saveEvery = time.Second

// keeper keeps the machine's State in its store.
type keeper struct {
	store StateStore
	log   *slog.Logger

	// mu also orders the calls of store: it is held while one saves, so none overtakes another.
	mu      sync.Mutex
	state   State
	stored  State // what this Client last read or wrote
	deleted bool  // nothing is saved any more
	err     error // of the last save
}

func (k *keeper) get() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// change saves at once what change makes of the state.
func (k *keeper) change(change func(*State)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.state
	change(&next)
	if k.deleted || next == k.state && k.err == nil {
		return nil
	}
	return k.saveLocked(next)
}

// reload takes up what somebody else has stored since this Client read or wrote: a new key, another
// machine id. Of positions the smaller one counts (back is true then), for behind the larger one lie
// messages that this Client has not been given. A store that is empty or fails takes nothing away.
func (k *keeper) reload() (at Position, back bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.store.Load()
	if err != nil {
		k.log.Warn("the machine's state is not read", "error", err)
		return at, false
	}
	if k.deleted || s == (State{}) || s == k.stored {
		return at, false
	}
	at = k.state.Position
	if s.Position.Epoch == at.Epoch && s.Position.Seq < at.Seq && s.Position != k.stored.Position {
		at, back = s.Position, true
	}
	s.HWID = cmp.Or(s.HWID, k.state.HWID)
	k.stored = s
	s.Position = at
	k.state = s
	return at, back
}

// forget wipes everything but what keeps a deleted machine deleted.
func (k *keeper) forget(deletedWith string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deleted = true
	return k.saveLocked(State{HWID: k.state.HWID, DeletedWith: deletedWith})
}

func (k *keeper) saveLocked(next State) error {
	err := k.store.Save(next)
	if err == nil {
		k.stored = next
	} else {
		err = fmt.Errorf("saving the machine's state: %w", err)
	}
	if err != nil && k.err == nil {
		k.log.Warn("the machine's state is not saved", "error", err)
	}
	k.state, k.err = next, err
	return err
}

func (k *keeper) lastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// follow saves the processed position, at most once in saveEvery and once more when ctx ends.
func (k *keeper) follow(ctx context.Context, b *inbox) {
	for {
		select {
		case <-b.moved:
			sleep(ctx, saveEvery)
		case <-ctx.Done():
		}
		last := ctx.Err() != nil // asked before the position is read, so that none is missed
		_, at := b.positions()
		if k.change(func(s *State) { s.Position = at }) != nil {
			wake(b.moved)
		}
		if last {
			return
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
