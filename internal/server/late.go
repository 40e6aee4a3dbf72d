package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// late is a directory that did not answer when the server started. It knows nothing until it does: a
// gateway that restarts while its directory is away must not lock out the machines that were admitted
// before.
type late struct {
	// Fixed after construction.
	stop context.CancelFunc
	work sync.WaitGroup

	// Written before opened is closed, and never again.
	found  books
	opened chan struct{}
}

// lateRetry is the pause between two tries.
const lateRetry = 2 * time.Second

var errNotOpened = errors.New("the directory has not answered since the start")

func newLate(ctx context.Context, open func(context.Context) (books, error), log *slog.Logger) *late {
	ctx, stop := context.WithCancel(ctx)
	l := &late{stop: stop, opened: make(chan struct{})}
	l.work.Go(func() { l.try(ctx, open, log) }) // ends when it is open, or with ctx
	return l
}

func (l *late) try(ctx context.Context, open func(context.Context) (books, error), log *slog.Logger) {
	for {
		t := time.NewTimer(lateRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		b, err := open(ctx)
		if err == nil {
			l.found = b
			close(l.opened)
			log.Info("the directory answers")
			return
		}
		if !errors.Is(err, directory.ErrUnavailable) {
			log.Error("the directory is refused; nothing is answered from it", "err", err)
		}
	}
}

// books are the faces of what will be there.
func (l *late) books() books {
	a, m := lateAccounts{l}, lateMachines{l}
	return books{accounts: a, accountAdmin: a, machines: m, machineAdmin: m, close: l.close}
}

func (l *late) close() {
	l.stop()
	l.work.Wait()
	if b, ok := l.ready(); ok {
		b.close()
	}
}

func (l *late) ready() (books, bool) {
	select {
	case <-l.opened:
		return l.found, true
	default:
		return books{}, false
	}
}

// watch waits for the directory and then watches it.
func (l *late) watch(ctx context.Context, report func(directory.Event), face func(books) func(context.Context, func(directory.Event)) error) error {
	report(directory.Event{Kind: directory.Lost, Err: errNotOpened})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.opened:
		return face(l.found)(ctx, report)
	}
}

type lateAccounts struct{ *late }

func (l lateAccounts) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	if b, ok := l.ready(); ok {
		return b.accounts.Lookup(ctx, keys)
	}
	return make([]directory.AccountAnswer, len(keys))
}

func (l lateAccounts) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	if b, ok := l.ready(); ok {
		return b.accounts.Check(ctx, ids)
	}
	return make([]directory.AccountAnswer, len(ids))
}

func (l lateAccounts) Watch(ctx context.Context, report func(directory.Event)) error {
	return l.watch(ctx, report, func(b books) func(context.Context, func(directory.Event)) error { return b.accounts.Watch })
}

func (l lateAccounts) Add(ctx context.Context, name string) (directory.Account, directory.Key, error) {
	if b, ok := l.ready(); ok {
		return b.accountAdmin.Add(ctx, name)
	}
	return directory.Account{}, "", directory.ErrUnavailable
}

func (l lateAccounts) ListAccounts(ctx context.Context) ([]directory.Account, error) {
	if b, ok := l.ready(); ok {
		return b.accountAdmin.ListAccounts(ctx)
	}
	return nil, directory.ErrUnavailable
}

func (l lateAccounts) DeleteAccount(ctx context.Context, id string) error {
	if b, ok := l.ready(); ok {
		return b.accountAdmin.DeleteAccount(ctx, id)
	}
	return directory.ErrUnavailable
}

func (l lateAccounts) Rotate(ctx context.Context, id string, grace time.Duration) (directory.Key, error) {
	if b, ok := l.ready(); ok {
		return b.accountAdmin.Rotate(ctx, id, grace)
	}
	return "", directory.ErrUnavailable
}

type lateMachines struct{ *late }

func (l lateMachines) Enrol(ctx context.Context, es []directory.Enrolment) []directory.MachineAnswer {
	if b, ok := l.ready(); ok {
		return b.machines.Enrol(ctx, es)
	}
	return make([]directory.MachineAnswer, len(es))
}

func (l lateMachines) Check(ctx context.Context, ids []string) []directory.MachineAnswer {
	if b, ok := l.ready(); ok {
		return b.machines.Check(ctx, ids)
	}
	return make([]directory.MachineAnswer, len(ids))
}

func (l lateMachines) Seen(ctx context.Context, news []directory.Seen) error {
	if b, ok := l.ready(); ok {
		return b.machines.Seen(ctx, news)
	}
	return nil // news come again
}

func (l lateMachines) DeleteAll(ctx context.Context, accountID string) error {
	if b, ok := l.ready(); ok {
		return b.machines.DeleteAll(ctx, accountID)
	}
	return directory.ErrUnavailable
}

func (l lateMachines) Watch(ctx context.Context, report func(directory.Event)) error {
	return l.watch(ctx, report, func(b books) func(context.Context, func(directory.Event)) error { return b.machines.Watch })
}

func (l lateMachines) List(ctx context.Context, f directory.MachineFilter) ([]directory.Machine, error) {
	if b, ok := l.ready(); ok {
		return b.machineAdmin.List(ctx, f)
	}
	return nil, directory.ErrUnavailable
}

func (l lateMachines) Delete(ctx context.Context, id string) error {
	if b, ok := l.ready(); ok {
		return b.machineAdmin.Delete(ctx, id)
	}
	return directory.ErrUnavailable
}

func (l lateMachines) Readmit(ctx context.Context, id string) error {
	if b, ok := l.ready(); ok {
		return b.machineAdmin.Readmit(ctx, id)
	}
	return directory.ErrUnavailable
}
