package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// view is how the gateway sees the directory: whom it asks, whether changes flow, and whom it
// admitted without an answer.
type view struct {
	// Fixed after construction.
	accounts     directory.Accounts
	machines     directory.Machines
	accountsByID *asker[directory.AccountAnswer]
	machinesByID *asker[directory.MachineAnswer]
	// lookups is the breaker of look-ups by key and of enrolments.
	lookups *breaker
	// sweepWanted holds a token while a sweep is asked for.
	sweepWanted chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	feeds [2]Feed // by subjectKind: machines, accounts
	// unproven are accounts whose machines were admitted on their tokens alone.
	unproven map[string]struct{}
}

// Feed is whether changes of one face of the directory flow.
type Feed struct {
	// Live: they do. Otherwise the sweep is all there is, because of Why.
	Live  bool
	Why   string
	Since time.Time
}

func newView(accounts directory.Accounts, machines directory.Machines) *view {
	v := &view{
		accounts: accounts, machines: machines,
		sweepWanted: make(chan struct{}, 1),
		unproven:    make(map[string]struct{}),
	}
	v.lookups = &breaker{recovered: v.sweepNow}
	v.accountsByID = &asker[directory.AccountAnswer]{
		check:   accounts.Check,
		verdict: func(a directory.AccountAnswer) directory.Verdict { return a.Verdict },
		breaker: &breaker{recovered: v.sweepNow},
	}
	v.machinesByID = &asker[directory.MachineAnswer]{
		check:   machines.Check,
		verdict: func(a directory.MachineAnswer) directory.Verdict { return a.Verdict },
		breaker: &breaker{recovered: v.sweepNow},
	}
	for i := range v.feeds {
		v.feeds[i] = Feed{Why: "it has just started", Since: time.Now()}
	}
	return v
}

// sweepNow asks for a sweep at once; one that is asked for already is enough.
func (v *view) sweepNow() {
	select {
	case v.sweepWanted <- struct{}{}:
	default:
	}
}

// setFeed notes whether changes of a kind flow, and tells whether that is news.
func (v *view) setFeed(kind subjectKind, live bool, why string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.feeds[kind]; old.Live == live && old.Why == why {
		return false
	}
	v.feeds[kind] = Feed{Live: live, Why: why, Since: time.Now()}
	return true
}

func (v *view) feed(kind subjectKind) Feed {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.feeds[kind]
}

// admittedUnproven notes accounts that could not be asked about: they are asked about first when the
// directory is back.
func (v *view) admittedUnproven(accounts ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range accounts {
		v.unproven[id] = struct{}{}
	}
}

// takeUnproven returns those accounts and forgets them.
func (v *view) takeUnproven() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	ids := make([]string, 0, len(v.unproven))
	for id := range v.unproven {
		ids = append(ids, id)
	}
	clear(v.unproven)
	return ids
}

// lookup looks keys up, unless the directory fails.
func (v *view) lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	if !v.lookups.lets(time.Now()) {
		return make([]directory.AccountAnswer, len(keys))
	}
	answers := make([]directory.AccountAnswer, len(keys))
	copy(answers, v.accounts.Lookup(ctx, keys))
	verdicts := make([]directory.Verdict, len(answers))
	ids := make([]string, len(answers))
	for i, a := range answers {
		verdicts[i], ids[i] = a.Verdict, a.Account.ID
	}
	v.lookups.heard(slices.ContainsFunc(verdicts, isAnswer), time.Now())
	v.accountsByID.controls.learn(ids, verdicts)
	return answers
}
