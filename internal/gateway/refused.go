package gateway

import (
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

// refusedSet is what has been revoked, in memory: tokens issued before a revocation are refused, and
// whoever was judged while one came in is judged again. It never judges a key: keys are judged by
// the directory, every time.
type refusedSet struct {
	mu sync.RWMutex
	// Guarded by mu.
	count   uint64
	entries map[subject]refusedEntry
}

type refusedEntry struct {
	version uint64
	at      time.Time // tokens issued before are refused; zero: none are
	// reported: somebody who may be believed says it is deleted, and it was not found since.
	reported bool
	until    time.Time // when no token can be that old any more
}

// subject is what a revocation is about.
type subject struct {
	kind subjectKind
	id   string
}

type subjectKind uint8

const (
	machineSubject subjectKind = iota
	accountSubject
	keySubject // id is account id + "/" + digest
)

// issueSlack is how far clocks of nodes may differ: a token issued up to then after a revocation
// counts as issued before it.
const issueSlack = time.Minute

func newRefusedSet() *refusedSet { return &refusedSet{entries: make(map[subject]refusedEntry)} }

// add puts a revocation in force.
func (r *refusedSet) add(s subject, at, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(s, at, until, false)
}

// report puts a deletion in force that somebody reported who may be believed.
func (r *refusedSet) report(s subject, at, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(s, at, until, true)
}

func (r *refusedSet) addLocked(s subject, at, until time.Time, reported bool) {
	old := r.entries[s]
	if at.Before(old.at) {
		at = old.at
	}
	if until.Before(old.until) {
		until = old.until
	}
	r.count++
	r.entries[s] = refusedEntry{version: r.count, at: at, until: until, reported: reported || old.reported}
}

// isReported tells whether a deletion was reported of what has not been found since.
func (r *refusedSet) isReported(s subject) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.entries[s].reported
}

// isBack notes that a read found s which began at version; it is false if that read is older than
// what came in about s. From then on an absence is a new one.
func (r *refusedSet) isBack(s subject, version uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.entries[s]
	if !known || e.version > version {
		return !known
	}
	e.reported = false
	r.entries[s] = e
	return true
}

// note marks a subject whose directory row is not what it was: nobody is refused, but whoever was
// judged meanwhile is judged again.
func (r *refusedSet) note(s subject, until time.Time) { r.add(s, time.Time{}, until) }

func (r *refusedSet) version() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count
}

// since tells whether anything about who came in after version.
func (r *refusedSet) since(version uint64, who session.Identity) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.count == version {
		return false
	}
	for _, s := range subjectsOf(who.Machine, who.Account, who.Key) {
		if r.entries[s].version > version {
			return true
		}
	}
	return false
}

// token tells whether a token was issued before a revocation that covers it.
func (r *refusedSet) token(c tokenClaims) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range subjectsOf(c.Machine, c.Account, c.Key) {
		e, ok := r.entries[s]
		if ok && !e.at.IsZero() && c.IssuedAt.Before(e.at.Add(issueSlack)) {
			return true
		}
	}
	return false
}

// forget drops entries that outlived every token they could refuse.
func (r *refusedSet) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, e := range r.entries {
		if e.until.Before(now) {
			delete(r.entries, s)
		}
	}
}

func subjectsOf(machine, account string, key directory.Digest) [3]subject {
	return [3]subject{{machineSubject, machine}, {accountSubject, account}, keyOf(account, key)}
}
