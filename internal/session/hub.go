package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Hub is made of.
type Config struct {
	// Engine holds the sessions' sockets, and Log is what they read when they are behind. Both are
	// required.
	Engine socket.Engine
	Log    Log
	// Heartbeat is the time between two pings. 0: wire.Heartbeat.
	Heartbeat time.Duration
	// Refresh makes a fresh token's frame for a session (nil: not now) and says when to ask again.
	// nil: no session ever needs one.
	Refresh func(s Session) (frame socket.Prepared, next time.Time)
	// Registerer takes the hub's metrics. nil: none.
	Registerer prometheus.Registerer
}

// Hub knows every session of this node.
type Hub struct {
	// Fixed after construction.
	engine    socket.Engine
	log       Log
	heartbeat time.Duration
	refresh   func(Session) (socket.Prepared, time.Time)
	nonce     uint64 // makes the ids of sessions differ from those of other hubs
	everyone  *floor
	machines  *index
	accounts  *index
	backlog   *backlog
	reads     *reads
	wheel     *wheel
	stop      context.CancelFunc
	work      sync.WaitGroup

	// Written by the round that goes on, read by all.
	begun    atomic.Uint64
	finished atomic.Uint64

	counts
}

// ErrTooMany refuses a session because its machine has enough of them.
var ErrTooMany = errors.New("the machine has too many sessions")

// New starts a hub at a position of the log: the tail's first call of Deliver is for a later one.
func New(c Config, head uint64) (*Hub, error) {
	if c.Engine == nil || c.Log == nil {
		return nil, errors.New("starting the hub: an engine and a log are required")
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = wire.Heartbeat
	}
	h := &Hub{
		engine:    c.Engine,
		log:       c.Log,
		heartbeat: c.Heartbeat,
		refresh:   c.Refresh,
		nonce:     rand.Uint64(),
		reads:     newReads(),
		wheel:     newWheel(time.Now()),
	}
	h.everyone = newFloor(h)
	h.machines = newIndex(h.everyone, byMachine, h.everyone.machine)
	h.accounts = newIndex(h.everyone, byAccount, h.everyone.account)
	h.backlog = newBacklog(h.round)
	h.begun.Store(head)
	h.finished.Store(head)
	if err := h.register(c.Registerer); err != nil {
		return nil, fmt.Errorf("starting the hub: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.work.Go(h.backlog.run)          // ends when the backlog is closed
	h.work.Go(func() { h.walk(ctx) }) // ends with ctx
	for range readers {
		h.work.Go(func() { h.readLoop(ctx) }) // ends with ctx
	}
	return h, nil
}

// Close stops the hub's own work and waits for it. Sessions are not ended.
func (h *Hub) Close() {
	h.stop()
	h.backlog.close()
	h.work.Wait()
}

// Enter makes a session and lets it be found: from now on it can be cut and ended. It is sent
// nothing before Start. If the machine has limit sessions already, it is refused with ErrTooMany.
func (h *Hub) Enter(id socket.ID, who Identity, limit int) (Session, error) {
	var another uint32
	h.accounts.first(who.Account, func(s Session) { another = s.rec.owner })
	s, ok := h.everyone.put(id, who, another)
	if !ok {
		return Session{}, fmt.Errorf("entering the hub: socket %d has a session", id)
	}
	if !h.machines.add(s, who.Machine, limit) {
		h.everyone.remove(s)
		return Session{}, ErrTooMany
	}
	h.accounts.add(s, who.Account, 0)
	s.enter()
	h.live.Add(1)
	return s, nil
}

// Leave forgets a session whose connection has closed, and returns what it was. From then on its place
// may be another's. Of several calls only the first does anything.
func (h *Hub) Leave(s Session) (was State, ok bool) {
	if !s.leave() {
		return was, false
	}
	h.machines.remove(s)
	h.accounts.remove(s)
	h.live.Add(-1)
	return h.everyone.remove(s), true
}

// Break moves to a position of the log that does not follow the one before: end must end each session
// it is given, for what lies between may be missing, and only a read from the machine's own position
// can tell. As with a message, begun moves first and finished last: whoever enters meanwhile is
// given to end or starts behind the break, and no ping says that the missing was handed over.
func (h *Hub) Break(position uint64, end func(Session)) {
	h.backlog.settle()
	defer h.backlog.done()
	h.begun.Store(position)
	for _, s := range h.All() {
		end(s)
	}
	h.finished.Store(position)
}

// Begun is where a session that has entered starts if it wants what comes from now on.
func (h *Hub) Begun() uint64 { return h.begun.Load() }

// OfMachine are the machine's sessions.
func (h *Hub) OfMachine(id string) []Session { return collect(h.machines, id) }

// OfAccount are the sessions of all machines of the account.
func (h *Hub) OfAccount(id string) []Session { return collect(h.accounts, id) }

func collect(x *index, name string) (found []Session) {
	x.each(name, func(s Session) { found = append(found, s) })
	return found
}

// Of is the session of a socket.
func (h *Hub) Of(id socket.ID) (Session, bool) { return h.everyone.of(id) }

// All are all sessions.
func (h *Hub) All() []Session {
	found := make([]Session, 0, h.Len())
	h.everyone.each(func(s Session) { found = append(found, s) })
	return found
}

// Count is the number of sessions of a machine.
func (h *Hub) Count(machine string) int { return h.machines.count(machine) }

// Machines are the ids of the machines that have a session.
func (h *Hub) Machines() []string { return h.machines.names() }

// Accounts are the ids of the accounts that have a session.
func (h *Hub) Accounts() []string { return h.accounts.names() }

// Keys are the keys that the account's sessions were opened with, each once.
func (h *Hub) Keys(account string) (keys [][32]byte) {
	var last uint32 // they have nearly always one
	h.accounts.each(account, func(s Session) {
		if s.rec.owner == last {
			return
		}
		last = s.rec.owner
		if key := h.everyone.owners.at(last).key; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	})
	return keys
}

// AccountCount is how many accounts have a session.
func (h *Hub) AccountCount() int { return h.accounts.len() }

// Heartbeat is the time between two pings.
func (h *Hub) Heartbeat() time.Duration { return h.heartbeat }

// Len is the number of sessions.
func (h *Hub) Len() int { return int(h.live.Load()) }

// Check compares the hub's indexes with each other: for tests and for a debug page.
func (h *Hub) Check() error {
	var all, lost int
	h.everyone.each(func(s Session) {
		if all++; !s.isEntered() {
			lost++
		}
	})
	byMachine, misplaced := h.machines.check()
	byAccount, more := h.accounts.check()
	if all != byMachine || all != byAccount || all != h.Len() || lost+misplaced+more > 0 {
		return fmt.Errorf("the hub counts %d sessions, by machine %d, by account %d, in all %d, %d lost, %d misplaced",
			h.Len(), byMachine, byAccount, all, lost, misplaced+more)
	}
	return nil
}

// sessionID is another one for each socket that the hub ever has: every step can be undone.
func sessionID(id socket.ID, nonce uint64) string {
	n := uint64(id) + nonce
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	n ^= n >> 31
	name := [17]byte{'s', 'e', 's', '_'}
	for i := len("ses_"); i < len(name); i++ { // base32, its last digit padded with a zero
		name[i] = "abcdefghijklmnopqrstuvwxyz234567"[n>>59]
		n <<= 5
	}
	return string(name[:])
}
