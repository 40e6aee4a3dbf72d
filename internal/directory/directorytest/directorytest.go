// Package directorytest is the suite that every directory driver must pass.
package directorytest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// Fixture is one empty directory of the driver under test, on a real store. Its functions end the
// test if they cannot do what they say.
type Fixture struct {
	Accounts directory.Accounts
	// Machines and Admin are nil together if the driver keeps no machines; what is said of machines
	// is then not asked of it.
	Machines directory.Machines
	Admin    directory.MachineAdmin
	// Add makes an account that key opens.
	Add func(key directory.Key) (id string)
	// Delete deletes an account, the way its operators do.
	Delete func(id string)
	// Rotate makes key the one that opens the account, at once.
	Rotate func(id string, key directory.Key)
	// Outage cuts the driver off from its store, or ends that.
	Outage func(on bool)
	// Restart closes the driver and opens it again on the same store.
	Restart func() Fixture
}

// patience is how long an event may take before it counts as missing; the machine may be busy.
const patience = 30 * time.Second

// oddKeys hold what has a meaning in URLs, SQL, filters and patterns.
var oddKeys = []directory.Key{
	`,"()\ %&+'*`, `in.(1,2)`, `' OR ''='`, `%25`, `a b`, `*`, `K€y-鍵-🔑`, "tab\tand\nline", `null`, `{"a":1}`,
}

// Run runs the suite. open makes a fixture for one test.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		test func(*testing.T, Fixture)
	}{
		{"AKeyFindsItsAccountInOrder", lookUp},
		{"AnOddKeyFindsOnlyItsAccount", lookUpOddKeys},
		{"ARotatedKeyIsUnknownAndTheNewOneOpens", rotate},
		{"ADeletedAccountIsNotFoundByItsKey", deleteAccount},
		{"ACheckAnswersInOrder", checkInOrder},
		{"NothingIsAbsentWhileTheStoreIsAway", outage},
		{"AWatchReportsLiveFirstThenChanges", watch},
		{"ARestartForgetsNothing", restart},
		{"MoreAccountsThanOnePageAreFound", moreThanOnePage},
		{"AKeyThatMovesOpensItsNewAccount", moveKey},
		{"EveryOneOfManyDeletionsIsReported", deleteMany},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) { x.test(t, open(t)) })
	}
	if open(t).Machines != nil {
		runMachines(t, open)
	}
}

func lookUp(t *testing.T, f Fixture) {
	one, two := f.Add("key-one"), f.Add("key-two")
	got := f.Accounts.Lookup(t.Context(), []directory.Key{"key-two", "nobody's", "key-one", "key-two", "KEY-ONE", ""})
	expectAccounts(t, got, two, "", one, two, "", "")
	if a := got[2].Account; !a.Opens(directory.Key("key-one").Digest()) || a.Opens(directory.Key("key-two").Digest()) {
		t.Errorf("account %q does not say which key opens it", a.ID)
	}
	if got := f.Accounts.Lookup(t.Context(), nil); len(got) != 0 {
		t.Errorf("looking nothing up answers %d times", len(got))
	}
}

func lookUpOddKeys(t *testing.T, f Fixture) {
	f.Add("an account that must not be found")
	unknown := f.Accounts.Lookup(t.Context(), oddKeys)
	expectAccounts(t, unknown, make([]string, len(oddKeys))...)
	var ids []string
	for _, k := range oddKeys {
		ids = append(ids, f.Add(k))
	}
	expectAccounts(t, f.Accounts.Lookup(t.Context(), oddKeys), ids...)
}

func rotate(t *testing.T, f Fixture) {
	id := f.Add("old")
	f.Rotate(id, "new")
	expectAccounts(t, f.Accounts.Lookup(t.Context(), []directory.Key{"old", "new"}), "", id)
	a := f.Accounts.Check(t.Context(), []string{id})[0].Account
	if a.Opens(directory.Key("old").Digest()) || !a.Opens(directory.Key("new").Digest()) {
		t.Error("a check does not tell that the key has changed")
	}
}

func deleteAccount(t *testing.T, f Fixture) {
	id, other := f.Add("key"), f.Add("other")
	f.Delete(id)
	expectAccounts(t, f.Accounts.Lookup(t.Context(), []directory.Key{"key", "other"}), "", other)
	got := f.Accounts.Check(t.Context(), []string{id})[0].Verdict
	if got != directory.NotFound && got != directory.Deleted {
		t.Errorf("a deleted account is %v", got)
	}
}

func checkInOrder(t *testing.T, f Fixture) {
	one, two := f.Add("key-one"), f.Add("key-two")
	got := f.Accounts.Check(t.Context(), []string{two, "no such id", one, `,"()*`, two})
	expectAccounts(t, got, two, "", one, "", two)
}

// outage: whoever is there may be found or not known, and nobody is absent.
func outage(t *testing.T, f Fixture) {
	id := f.Add("key")
	f.Outage(true)
	answers := f.Accounts.Lookup(t.Context(), []directory.Key{"unknown", "key"})
	answers = append(answers, f.Accounts.Check(t.Context(), []string{"unknown", id})...)
	for i, a := range answers {
		if a.Verdict != directory.Unavailable && (i%2 == 0 || a.Verdict != directory.Found) {
			t.Errorf("answer %d while the store is away is %v", i, a.Verdict)
		}
	}
	f.Outage(false)
	until(t, "the store is back", func() bool {
		return f.Accounts.Lookup(t.Context(), []directory.Key{"unknown"})[0].Verdict == directory.NotFound
	})
	expectAccounts(t, f.Accounts.Lookup(t.Context(), []directory.Key{"key"}), id)
}

func watch(t *testing.T, f Fixture) {
	id, rotated := f.Add("key"), f.Add("before")
	events := Watch(t, f.Accounts.Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	f.Rotate(rotated, "after")
	events.Expect(t, directory.Event{Kind: directory.Changed, ID: rotated})
	f.Delete(id)
	events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
}

func restart(t *testing.T, f Fixture) {
	id, gone, rotated := f.Add("key"), f.Add("gone"), f.Add("before")
	f.Delete(gone)
	f.Rotate(rotated, "after")
	f = f.Restart()
	keys := []directory.Key{"key", "gone", "before", "after"}
	expectAccounts(t, f.Accounts.Lookup(t.Context(), keys), id, "", "", rotated)
}

// expectAccounts compares ids; an empty one is an account that is not found.
func expectAccounts(t *testing.T, got []directory.AccountAnswer, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d answers, want %d", len(got), len(want))
	}
	for i, a := range got {
		verdict := directory.Found
		if want[i] == "" {
			verdict = directory.NotFound
		}
		if a.Verdict != verdict || a.Account.ID != want[i] {
			t.Errorf("answer %d is %v %q, want %v %q", i, a.Verdict, a.Account.ID, verdict, want[i])
		}
	}
}

// Events are what a watch has reported so far.
type Events struct {
	mu sync.Mutex
	// Guarded by mu.
	list []directory.Event
	more chan struct{} // closed when list grows
}

// Watch watches until the test ends.
func Watch(t *testing.T, watch func(context.Context, func(directory.Event)) error) *Events {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	e := &Events{more: make(chan struct{})}
	var work sync.WaitGroup
	work.Go(func() { // ends with ctx
		if err := watch(ctx, e.add); err != nil && ctx.Err() == nil {
			t.Errorf("watching ended by itself: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return e
}

func (e *Events) add(one directory.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one.Err, one.Asked, one.Proven = nil, false, false // drivers differ in these
	e.list = append(e.list, one)
	close(e.more)
	e.more = make(chan struct{})
}

// Expect waits for the event. The first of all must be Live.
func (e *Events) Expect(t *testing.T, want directory.Event) {
	t.Helper()
	timeout := time.After(patience)
	for {
		e.mu.Lock()
		list, more := slices.Clone(e.list), e.more
		e.mu.Unlock()
		if len(list) > 0 && list[0].Kind != directory.Live {
			t.Fatalf("the first event is %v, want Live", list[0])
		}
		if slices.Contains(list, want) {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no event %v, only %v", want, list)
		}
	}
}

// until waits for what the driver cannot report.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("waited in vain until " + what)
		}
	}
}

func hwid(n int) *directory.MachineInfo {
	return &directory.MachineInfo{Hostname: fmt.Sprintf("host-%d", n), HWID: fmt.Sprintf("hwid-%d", n)}
}
