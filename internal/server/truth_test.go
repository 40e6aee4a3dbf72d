package server_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// truth is what the random schedule knows, and what no machine may be told against it.
//
// The rules, for whoever reads what a run found:
//
//   - machine_deleted is for machines that were deleted, or whose account was: nobody else is told.
//   - auth_failed 4501 is for keys that are not the account's, and for accounts that are not there.
//   - a deleted machine or account is not readmitted by key, with its machineId or without. Nor by token,
//     unless the directory could not be asked when the token came; and not even then once that machine was
//     told, for that is in the log.
//   - a deleted machine or account has no session when the directory and the gateway have been there for
//     the bound. A feed that is lost excuses nothing.
//
// Everything else may come back, and is nothing.
type truth struct {
	t *testing.T

	mu sync.Mutex
	// Guarded by mu.
	owners []*owner
	units  []*unit
	// isDown: the directory cannot be asked; isAway: its rows are not there.
	isDown, isAway bool
	// since is when the directory could be asked again or the gateway was up again, whatever was last;
	// back is when the rows were there again.
	since, back time.Time
	counts      map[string]int // how connections ended
}

// bound is how long after a deletion a session may be there: the longest pause between two sweeps, and
// what the sweep and its goodbye may take.
const bound = 5500*time.Millisecond + 3*time.Second

// owner is an account.
type owner struct {
	id  string
	key string // that opens it; empty while it changes
	deletion
}

// unit is a machine.
type unit struct {
	owner *owner
	hwid  string // empty: the default machine
	// What it was given when it was last admitted, and with which key.
	id, token, key string
	// under is the key that the machine stays deleted for.
	under    string
	told     time.Time // when it was first told that it, or its account, was deleted
	busy     bool      // it connects, or is online
	link     *line     // nil: none yet
	isOnline bool
	deletion
}

// deletion is how far that of a row or a record is.
type deletion struct {
	begun bool
	done  time.Time // zero: not yet, or nobody knows
}

func (d deletion) isDone(at time.Time) bool { return !d.done.IsZero() && d.done.Before(at) }

// attempt is one connection of a unit.
type attempt struct {
	unit    *unit
	auth    frame
	key     string
	byToken bool
	sent    time.Time
}

func (a *attempt) String() string {
	how := "key"
	if a.byToken {
		how = "token"
	} else if a.auth.text("machineId") != "" {
		how = "key and machineId"
	}
	return fmt.Sprintf("machine %q (%s) of account %s, by %s, sent at %s", a.unit.hwid, a.unit.id, a.unit.owner.id, how, clock(a.sent))
}

func clock(t time.Time) string { return t.Format("05.000") }

func (w *truth) failLocked(what string, a *attempt) {
	o, u := a.unit.owner, a.unit
	w.t.Errorf("%s %s: %s; account's deletion %s, machine's %s, told %s, directory down %v since %s",
		clock(time.Now()), what, a, o.deletion, u.deletion, clock(u.told), w.isDown, clock(w.since))
}

func (d deletion) String() string {
	return fmt.Sprintf("{%v done %s}", d.begun, clock(d.done))
}

// admitted notes a session, and tells whether it may be.
func (w *truth) admitted(a *attempt, hello frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["admitted"]++
	id, u := hello.text("machineId"), a.unit
	if u.owner.isDone(a.sent) && !w.isExcusedLocked(a) {
		w.failLocked("a deleted account's machine is readmitted", a)
	}
	if u.isDone(a.sent) && id == u.id && a.key == u.under && !w.isExcusedLocked(a) {
		w.failLocked("a deleted machine is readmitted", a)
	}
	if u.begun && a.key != u.under {
		u.deletion, u.told = deletion{}, time.Time{} // another key opens the account: it is a new machine
	}
	u.isOnline = true
	u.id, u.token, u.key = id, hello.text("sessionToken"), a.key
}

// isExcusedLocked tells whether a deletion could not be known when a token came.
func (w *truth) isExcusedLocked(a *attempt) bool {
	if told := a.unit.told; !a.byToken || !told.IsZero() && told.Before(a.sent) {
		return false
	}
	return w.isDown || a.sent.Before(w.since.Add(bound))
}

// ended notes how a connection ended, and tells whether it may have.
func (w *truth) ended(a *attempt, how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[how]++
	u := a.unit
	switch how {
	case toldDeleted:
		if !u.begun && !u.owner.begun {
			w.failLocked("a machine that is there was told that it was deleted", a)
		}
		if u.told.IsZero() {
			u.told = time.Now()
		}
	case badKey:
		isAway := w.isAway || a.sent.Before(w.back.Add(bound))
		if a.key == u.owner.key && !u.owner.begun && !isAway {
			w.failLocked("a right key was refused for good", a)
		}
	default:
		if slices.Contains(forGood, how) {
			w.failLocked("a machine was sent away for good with "+how, a)
		}
	}
}

// forGood are ends that nothing in the schedule deserves.
var forGood = []string{"error 4503", "nothing 4503", "nothing 4500", "nothing 4501", "error 1003"}

// late returns the ids of what was deleted long enough ago to have no session.
func (w *truth) late() (accounts, machines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	isLate := func(d deletion) bool {
		return d.begun && !d.done.IsZero() && !w.isDown && now.Sub(d.done) > bound && now.Sub(w.since) > bound
	}
	for _, o := range w.owners {
		if isLate(o.deletion) {
			accounts = append(accounts, o.id)
		}
	}
	for _, u := range w.units {
		if isLate(u.deletion) && !u.busy {
			machines = append(machines, u.id)
		}
	}
	return accounts, machines
}

// reset notes that the gateway's memory is lost. What it told just now may not be in the log.
func (w *truth) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Now()
	for _, u := range w.units {
		if time.Since(u.told) < time.Second {
			u.told = time.Time{}
		}
	}
}

// set changes what is true.
func (w *truth) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}
