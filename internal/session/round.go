package session

import (
	"slices"
	"sync"

	"github.com/fleetline/fleetline/internal/socket"
)

// Deliver takes a message of the log, or a live-only one, for its sessions. The tail calls it in order
// when the log's window holds the message, and may go on before it is handed over.
func (h *Hub) Deliver(to Target, m Message) {
	h.backlog.put(post{to, m, m.Position(), len(m.Frame(false))})
}

// Pass takes a record of the log that is no message.
func (h *Hub) Pass(position uint64) { h.backlog.put(post{position: position}) }

// round hands each session all that is for it among the posts, in their order and in one write.
func (h *Hub) round(posts []post) {
	head := headOf(posts)
	if head > 0 {
		h.begun.Store(head)
	}
	if len(posts) == 1 {
		posts[0].hand(h)
	} else {
		sortOut(posts).hand(h)
	}
	if head > 0 {
		h.finished.Store(head)
	}
}

// headOf is the last position; 0 if all are live-only.
func headOf(posts []post) uint64 {
	for _, p := range slices.Backward(posts) {
		if p.position > 0 {
			return p.position
		}
	}
	return 0
}

// hand is a round of one post.
func (p post) hand(h *Hub) {
	if p.message == nil {
		return
	}
	b := newBundle([]Message{p.message})
	switch {
	case p.to.Machine != "":
		h.machines.each(p.to.Machine, b.handTo)
	case p.to.Account != "":
		h.accounts.each(p.to.Account, b.handTo)
	default:
		h.handToAll(b, func(locked) bool { return true })
	}
}

// sorted are the posts of a round by whom they are for, as places in their order.
type sorted struct {
	posts              []post
	machines, accounts map[string][]int
	everyone           []int
}

func sortOut(posts []post) *sorted {
	r := &sorted{posts: posts, machines: map[string][]int{}, accounts: map[string][]int{}}
	for i, p := range posts {
		switch {
		case p.message == nil:
		case p.to.Machine != "":
			r.machines[p.to.Machine] = append(r.machines[p.to.Machine], i)
		case p.to.Account != "":
			r.accounts[p.to.Account] = append(r.accounts[p.to.Account], i)
		default:
			r.everyone = append(r.everyone, i)
		}
	}
	return r
}

// hand visits each session once: those with a message of their own first, because they are few and
// need not wait for all the others.
func (r *sorted) hand(h *Hub) {
	for machine := range r.machines {
		h.machines.each(machine, func(s Session) { r.bundle(machine, string(h.everyone.account(s.rec))).handTo(s) })
	}
	for account := range r.accounts {
		b := r.bundle("", account)
		h.accounts.each(account, func(s Session) {
			if r.machines[string(h.everyone.machine(s.rec))] == nil {
				b.handTo(s)
			}
		})
	}
	if len(r.everyone) == 0 {
		return
	}
	h.handToAll(r.bundle("", ""), func(l locked) bool { return !r.hasOwn(l) })
}

// handToAll hands what a round has for all to those whom it is for.
func (h *Hub) handToAll(b *bundle, isFor func(locked) bool) {
	h.everyone.allAtOnce(h.Len(), func() (func(Session), func()) {
		v := newSalvo(h, func(l locked, taken int) { l.delivered(b, taken) })
		return func(s Session) {
			l, ok := v.lock(s)
			switch {
			case !ok:
			case !isFor(l):
				l.unlock()
			default:
				l.deliverIn(v, b)
			}
		}, v.fire
	})
}

// hasOwn tells whether a session was visited for a message of its machine or account.
func (r *sorted) hasOwn(l locked) bool {
	floor := l.hub.everyone
	return len(r.machines) > 0 && r.machines[string(floor.machine(l.rec))] != nil ||
		len(r.accounts) > 0 && r.accounts[string(floor.account(l.rec))] != nil
}

// bundle is what the sessions of a machine of an account get.
func (r *sorted) bundle(machine, account string) *bundle {
	places := slices.Concat(r.machines[machine], r.accounts[account], r.everyone)
	slices.Sort(places)
	messages := make([]Message, len(places))
	for i, at := range places {
		messages[i] = r.posts[at].message
	}
	return newBundle(messages)
}

// bundle is what a round has for a session, made once for all that get the same.
type bundle struct {
	messages []Message
	// first and last are the positions of the first and the last message that is not live-only; 0 if
	// there is none.
	first, last uint64
	plain, bare form
}

// form are the messages as frames of one kind, made when the first session needs them.
type form struct {
	once sync.Once
	all  socket.Burst
}

func newBundle(messages []Message) *bundle {
	b := &bundle{messages: messages, first: firstStored(messages)}
	for _, m := range messages {
		b.last = max(b.last, m.Position())
	}
	return b
}

func firstStored(messages []Message) uint64 {
	for _, m := range messages {
		if m.Position() > 0 {
			return m.Position()
		}
	}
	return 0
}

func liveOnly(messages []Message) (n uint64) {
	for _, m := range messages {
		if m.Position() == 0 {
			n++
		}
	}
	return n
}

func (b *bundle) burstFor(bare bool) socket.Burst {
	f := &b.plain
	if bare {
		f = &b.bare
	}
	f.once.Do(func() {
		frames := make([]socket.Prepared, len(b.messages))
		for i, m := range b.messages {
			frames[i] = m.Frame(bare)
		}
		f.all = socket.NewBurst(frames...)
	})
	return f.all
}

// had is how many of the messages come no later than the last one that a session at pos has.
func (b *bundle) had(pos uint64) int {
	if b.first == 0 || pos < b.first {
		return 0
	}
	n := len(b.messages)
	for p := b.messages[n-1].Position(); p == 0 || p > pos; p = b.messages[n-1].Position() {
		n--
	}
	return n
}

func (b *bundle) handTo(s Session) {
	if l, ok := s.lock(); ok {
		defer l.unlock()
		l.deliver(b)
	}
}

// deliver hands over what a round has for the session, but what it has or will read itself. Live-only
// messages that it cannot take in their place are dropped.
func (l locked) deliver(b *bundle) {
	if frames := l.due(b); len(frames) > 0 {
		l.delivered(b, l.hub.engine.SendMany(l.id, frames))
	}
}

// deliverIn is deliver together with many others, and unlocks the session. What is long, or for this
// session alone, goes by itself: the others need not wait for it.
func (l locked) deliverIn(v *salvo, b *bundle) {
	burst, frames := b.burstFor(l.isBare()), l.due(b)
	switch {
	case len(frames) == 0:
	case len(frames) == len(burst.Frames) && burst.IsShort():
		v.load(l, burst)
		return
	default:
		l.delivered(b, l.hub.engine.SendMany(l.id, frames))
	}
	l.unlock()
}

// due is what the session is to be handed of a round.
func (l locked) due(b *bundle) []socket.Prepared {
	switch {
	case l.has(cut):
		return nil
	case l.has(behind):
		l.hub.dropped.Add(liveOnly(b.messages))
		return nil
	}
	return b.burstFor(l.isBare()).Frames[b.had(l.rec.pos):]
}

// delivered notes how many of what was due the socket has taken.
func (l locked) delivered(b *bundle, taken int) {
	from := b.had(l.rec.pos)
	l.hub.delivered.Add(uint64(taken))
	rest := b.messages[from+taken:]
	l.hub.dropped.Add(liveOnly(b.messages[:from]) + liveOnly(rest))
	if missed := firstStored(rest); missed > 0 {
		// The tail comes in order: whatever was for this live session before it has been handed over.
		l.rec.pos = missed - 1
		l.fallBehind()
		return
	}
	l.rec.pos = max(l.rec.pos, b.last)
}

func (l locked) fallBehind() {
	l.set(behind)
	l.hub.fellBehind.Add(1)
}
