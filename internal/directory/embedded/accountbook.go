package embedded

import (
	"container/heap"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
)

// accountBook is the accounts in memory. It is told records and knows the time; where records come
// from is not its business.
type accountBook struct {
	// Fixed after construction.
	log  *slog.Logger
	feed *feed.Feed // written under mu, so that events are in the order of changes

	mu sync.RWMutex
	// Guarded by mu.
	pages    map[string]*accountPage
	byDigest map[directory.Digest]*accountPage
	bad      int // pages that cannot be read
	graces   graces
	timer    *time.Timer // one for all graces; nil until the first
	closed   bool
}

// accountPage is what is known under one id. Its record is never written to.
type accountPage struct {
	id       string
	revision uint64
	state    pageState
	record   accountRecord // while bad, the one before
}

type pageState uint8

const (
	absent pageState = iota // removed by hand
	alive
	deleted
	bad
)

func newAccountBook(log *slog.Logger) *accountBook {
	b := &accountBook{log: log, feed: feed.New(unavailable(errLoading))}
	b.reset()
	return b
}

func (b *accountBook) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages = make(map[string]*accountPage)
	b.byDigest = make(map[directory.Digest]*accountPage)
	b.bad, b.graces = 0, nil
}

func (b *accountBook) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}

func (b *accountBook) apply(id string, value []byte, revision uint64, isOwn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.pages[id]
	if was == nil {
		was = &accountPage{id: id}
	} else if revision <= was.revision {
		return
	}
	now := b.read(was, value, revision)
	b.file(was, now)
	if kind := accountChange(was, now, time.Now()); kind != 0 {
		asked := now.state == deleted
		b.feed.Push(directory.Event{Kind: kind, ID: id, Asked: asked, Proven: isOwn && asked})
	} else if was.revision == 0 && now.state == deleted {
		// It came and went at another node before this one read of it.
		b.feed.PushIfLive(directory.Event{Kind: directory.Gone, ID: id, Asked: true})
	}
}

// read makes the page that follows was.
func (b *accountBook) read(was *accountPage, value []byte, revision uint64) *accountPage {
	now := &accountPage{id: was.id, revision: revision}
	if value == nil {
		return now
	}
	record, err := parseAccount(value)
	switch {
	case err != nil:
		b.log.Error("skipping the record of an account", "account", was.id, "revision", revision, "err", err)
		now.state, now.record = bad, was.record
		return now
	case record.DeletedAt.IsZero():
		now.state = alive
	default:
		now.state = deleted
	}
	now.record = record
	return now
}

// file puts a page in its places. A bad page keeps the keys of the record before: they are not
// absent, and not found either.
func (b *accountBook) file(was, now *accountPage) {
	for _, k := range was.record.Keys {
		delete(b.byDigest, directory.Digest(k.Digest))
	}
	if was.state == bad {
		b.bad--
	}
	if now.state == bad {
		b.bad++
	}
	b.pages[now.id] = now
	for _, k := range now.record.Keys {
		b.byDigest[directory.Digest(k.Digest)] = now
		if time.Now().Before(k.Until) {
			b.graces.add(grace{id: now.id, until: k.Until})
		}
	}
	b.scheduleLocked()
}

// accountChange is the kind of event that tells of a change, or zero.
func accountChange(was, now *accountPage, t time.Time) directory.EventKind {
	existed := was.record.exists() && was.state != absent
	switch {
	case now.state == bad || was.revision == 0:
		return 0
	case existed && now.state != alive:
		return directory.Gone
	case !existed && now.state == alive:
		return directory.Changed
	case existed && !slices.Equal(was.record.digests(t), now.record.digests(t)):
		return directory.Changed
	}
	return 0
}

func (r accountRecord) exists() bool { return len(r.Keys) > 0 }

// digests are those of the keys that open the account at t.
func (r accountRecord) digests(t time.Time) []directory.Digest {
	var open []directory.Digest
	for _, k := range r.Keys {
		if k.opens(t) {
			open = append(open, directory.Digest(k.Digest))
		}
	}
	return open
}

// lookup answers for the key with digest d.
func (b *accountBook) lookup(d directory.Digest) directory.AccountAnswer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	page := b.byDigest[d]
	switch {
	case page == nil && b.bad > 0, page != nil && page.state == bad:
		return directory.AccountAnswer{} // it may be the key of a record that cannot be read
	case page == nil:
		return directory.AccountAnswer{Verdict: directory.NotFound}
	}
	a := page.account()
	if !a.Opens(d) {
		return directory.AccountAnswer{Verdict: directory.NotFound}
	}
	return directory.AccountAnswer{Verdict: directory.Found, Account: a}
}

// check answers for an id.
func (b *accountBook) check(id string) directory.AccountAnswer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	page := b.pages[id]
	if page == nil {
		return directory.AccountAnswer{Verdict: directory.NotFound}
	}
	switch page.state {
	case alive:
		return directory.AccountAnswer{Verdict: directory.Found, Account: page.account()}
	case deleted:
		return directory.AccountAnswer{Verdict: directory.Deleted, Account: page.account()}
	case bad:
		return directory.AccountAnswer{}
	}
	return directory.AccountAnswer{Verdict: directory.NotFound}
}

// page is what a write starts from; the zero page if there is none.
func (b *accountBook) page(id string) accountPage {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if p := b.pages[id]; p != nil {
		return *p
	}
	return accountPage{id: id}
}

// all are the accounts that exist, in order of id.
func (b *accountBook) all() []directory.Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := make([]directory.Account, 0, len(b.pages))
	for _, p := range b.pages {
		if p.state == alive {
			list = append(list, p.account())
		}
	}
	slices.SortFunc(list, func(x, y directory.Account) int { return strings.Compare(x.ID, y.ID) })
	return list
}

func (p *accountPage) account() directory.Account {
	return directory.Account{
		ID: p.id, Name: p.record.Name, CreatedAt: p.record.CreatedAt, Digests: p.record.digests(time.Now()),
	}
}

// grace is a moment at which an account loses a key.
type grace struct {
	id    string
	until time.Time
}

// graces is a heap, the next to end first. It may hold some that no longer matter.
type graces []grace

// The methods of heap.Interface.

func (g graces) Len() int           { return len(g) }
func (g graces) Less(i, j int) bool { return g[i].until.Before(g[j].until) }
func (g graces) Swap(i, j int)      { g[i], g[j] = g[j], g[i] }
func (g *graces) Push(x any)        { *g = append(*g, x.(grace)) }
func (g *graces) Pop() any {
	last := (*g)[len(*g)-1]
	*g = (*g)[:len(*g)-1]
	return last
}

func (g *graces) add(one grace) { heap.Push(g, one) }

// scheduleLocked sets the timer for the next grace to end.
func (b *accountBook) scheduleLocked() {
	if b.closed || len(b.graces) == 0 {
		return
	}
	wait := time.Until(b.graces[0].until)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.endGraces)
		return
	}
	b.timer.Reset(wait)
}

// endGraces reports the accounts that have just lost a key.
func (b *accountBook) endGraces() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	for now := time.Now(); len(b.graces) > 0 && !now.Before(b.graces[0].until); {
		ended := heap.Pop(&b.graces).(grace)
		if p := b.pages[ended.id]; p != nil && p.losesKeyAt(ended.until) {
			b.feed.Push(directory.Event{Kind: directory.Changed, ID: ended.id})
		}
	}
	b.scheduleLocked()
}

func (p *accountPage) losesKeyAt(t time.Time) bool {
	return p.state == alive && slices.ContainsFunc(p.record.Keys, func(k keyRecord) bool { return k.Until.Equal(t) })
}
