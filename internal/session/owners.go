package session

import "sync"

// owner is what the sessions of an account have in common, as long as they came with the same key.
type owner struct {
	// Fixed as long as a session has it.
	account name
	key     [32]byte

	// Guarded by the lock of owners.
	sessions uint32
}

// owners are all of them, by numbers from 1. Where each account is one machine there are as many as
// sessions, and so they hold no pointer either.
type owners struct {
	table chunks[owner]
	names *names

	mu sync.Mutex
	// Guarded by mu.
	free []uint32
	last uint32 // the highest number that was ever used
}

func (t *owners) at(number uint32) *owner { return t.table.at(number) }

// take is for one leave. It returns a number that another session of the account has, if that is an
// owner with who's key; by now it may be anybody's. 0: there is no other session.
func (t *owners) take(another uint32, who Identity) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if another != 0 && t.isLocked(another, who) {
		t.at(another).sessions++
		return another
	}
	number := t.numberLocked()
	*t.table.room(number) = owner{account: t.names.keep(who.Account), key: who.Key, sessions: 1}
	return number
}

func (t *owners) isLocked(number uint32, who Identity) bool {
	o := t.at(number)
	return o.sessions > 0 && o.key == who.Key && string(t.names.of(&o.account)) == who.Account
}

func (t *owners) numberLocked() uint32 {
	if n := len(t.free); n > 0 {
		number := t.free[n-1]
		t.free = t.free[:n-1]
		return number
	}
	t.last++
	return t.last
}

func (t *owners) leave(number uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.at(number)
	if o.sessions--; o.sessions == 0 {
		t.names.drop(&o.account)
		t.free = append(t.free, number)
	}
}
