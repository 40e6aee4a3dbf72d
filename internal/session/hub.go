package session

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
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
	Refresh func(s *Session) (frame socket.Prepared, next time.Time)
	// Registerer takes the hub's metrics. nil: none.
	Registerer prometheus.Registerer
}

// Hub knows every session of this node.
type Hub struct {
	// Fixed after construction.
	engine    socket.Engine
	log       Log
	heartbeat time.Duration
	refresh   func(*Session) (socket.Prepared, time.Time)
	machines  *index
	accounts  *index
	everyone  *index
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
		machines:  newIndex(byMachine),
		accounts:  newIndex(byAccount),
		everyone:  newIndex(everyone),
		reads:     newReads(),
		wheel:     newWheel(time.Now()),
	}
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
func (h *Hub) Enter(id socket.ID, who Identity, limit int) (*Session, error) {
	s := h.newSession(id, who)
	if !h.machines.add(s.machine, s, limit) {
		return nil, ErrTooMany
	}
	h.accounts.add(s.account, s, 0)
	h.everyone.add(spread(id), s, 0)
	h.live.Add(1)
	return s, nil
}

// newSession shares what another session of the account has already. Names are copied: they may be
// parts of something larger.
func (h *Hub) newSession(id socket.ID, who Identity) *Session {
	s := &Session{
		hub: h, socket: id, number: rand.Uint64(), machine: strings.Clone(who.Machine), bare: who.Bare,
		since: time.Since(h.wheel.start), behind: true,
	}
	other := h.accounts.first(who.Account)
	if other != nil {
		s.account, s.key = other.account, other.key
	} else {
		s.account = strings.Clone(who.Account)
	}
	if s.key == nil || *s.key != who.Key {
		key := who.Key // of its own: a pointer into who would keep all of it
		s.key = &key
	}
	return s
}

// Leave forgets a session whose connection has closed. Calling it twice is nothing.
func (h *Hub) Leave(s *Session) {
	if !h.machines.remove(s.machine, s) {
		return
	}
	h.accounts.remove(s.account, s)
	h.everyone.remove(spread(s.socket), s)
	h.live.Add(-1)
	s.Cut()
}

// Break moves to a position of the log that does not follow the one before: end must end each session
// it is given, for what lies between may be missing, and only a read from the machine's own position
// can tell. As with a message, begun moves first and finished last: whoever enters meanwhile is
// given to end or starts behind the break, and no ping says that the missing was handed over.
func (h *Hub) Break(position uint64, end func(*Session)) {
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
func (h *Hub) OfMachine(id string) []*Session { return collect(h.machines, id) }

// OfAccount are the sessions of all machines of the account.
func (h *Hub) OfAccount(id string) []*Session { return collect(h.accounts, id) }

func collect(x *index, name string) []*Session {
	var found []*Session
	x.each(name, func(s *Session) { found = append(found, s) })
	return found
}

// All are all sessions.
func (h *Hub) All() []*Session {
	found := make([]*Session, 0, h.Len())
	h.everyone.all(func(_ string, s *Session) { found = append(found, s) })
	return found
}

// Count is the number of sessions of a machine.
func (h *Hub) Count(machine string) int { return h.machines.count(machine) }

// Machines are the ids of the machines that have a session.
func (h *Hub) Machines() []string { return h.machines.names() }

// Accounts are the ids of the accounts that have a session.
func (h *Hub) Accounts() []string { return h.accounts.names() }

// AccountCount is how many accounts have a session.
func (h *Hub) AccountCount() int { return h.accounts.len() }

// Heartbeat is the time between two pings.
func (h *Hub) Heartbeat() time.Duration { return h.heartbeat }

// Len is the number of sessions.
func (h *Hub) Len() int { return int(h.live.Load()) }

// Check compares the hub's indexes with each other: for tests and for a debug page.
func (h *Hub) Check() error {
	var n [kinds]int
	var misplaced int
	for _, x := range []*index{h.machines, h.accounts, h.everyone} {
		x.all(func(name string, s *Session) {
			n[x.kind]++
			want := [kinds]string{s.machine, s.account, spread(s.socket)}[x.kind]
			if name != want {
				misplaced++
			}
		})
	}
	if n[byMachine] != n[byAccount] || n[byMachine] != n[everyone] || n[byMachine] != h.Len() || misplaced > 0 {
		return fmt.Errorf("the hub counts %d sessions, by machine %d, by account %d, in all %d, %d misplaced",
			h.Len(), n[byMachine], n[byAccount], n[everyone], misplaced)
	}
	return nil
}

// groupNames spread the index of all sessions over the shards: short names that cost no memory each.
const groupNames = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

func spread(id socket.ID) string {
	i := id.Slot() % uint32(len(groupNames))
	return groupNames[i : i+1]
}

func sessionID(n uint64) string {
	raw := binary.BigEndian.AppendUint64(nil, n)
	return "ses_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}
