package supabase

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

// Accounts is the face of a Directory that knows accounts.
type Accounts struct{ d *Directory }

// Lookup answers for each key, in order.
func (a *Accounts) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	stranger := randomKey()
	values := make([]string, len(keys))
	for i, k := range keys {
		values[i] = string(k)
		if k == "" || !rows.Storable(values[i]) {
			values[i] = stranger // no account is opened by such a key, and asking for it spoils the question
		}
	}
	answers := a.d.answers(ctx, a.d.byKey(), values)
	for i, k := range keys {
		if answers[i].Verdict == directory.Found && !answers[i].Account.Opens(k.Digest()) {
			answers[i] = directory.AccountAnswer{}
		}
	}
	return answers
}

// Check answers for each id, in order.
func (a *Accounts) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	kind := a.d.standing().ids
	stranger := kind.stranger()
	values := make([]string, len(ids))
	for i, id := range ids {
		if values[i] = id; !kind.fits(id) {
			values[i] = stranger
		}
	}
	return a.d.answers(ctx, a.d.byID(), values)
}

// Watch reports changes of accounts until ctx ends. A watcher that is slower than the changes is
// told Lost, then Live.
func (a *Accounts) Watch(ctx context.Context, report func(directory.Event)) error {
	return a.d.accountFeed.Watch(ctx, a.d.life, report)
}

// answers answers for each value, in order.
func (d *Directory) answers(ctx context.Context, q question, values []string) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(values))
	if len(values) == 0 || !d.standing().proven {
		return answers
	}
	known := d.ask(ctx, q, slices.Compact(slices.Sorted(slices.Values(values))))
	for i, v := range values {
		answers[i] = known[v] // Unavailable if nothing was told of it
	}
	return answers
}

// ask asks for different values in as many questions as it takes, some at once.
func (d *Directory) ask(ctx context.Context, q question, values []string) map[string]directory.AccountAnswer {
	known := make(map[string]directory.AccountAnswer, len(values))
	var mu sync.Mutex // guards known
	var work sync.WaitGroup
	for _, piece := range d.pieces(q, values) {
		work.Go(func() { // ends with its requests, which end with ctx
			part := d.askPiece(ctx, q, piece)
			mu.Lock()
			defer mu.Unlock()
			for v, a := range part {
				known[v] = a
			}
		})
	}
	work.Wait()
	return known
}

// askPiece asks one question, or several if its answer is cut short.
func (d *Directory) askPiece(ctx context.Context, q question, values []string) map[string]directory.AccountAnswer {
	found, err := d.read(ctx, q, values)
	half := len(values) / 2
	if errors.Is(err, errCut) && half > 0 {
		d.most.Store(int64(half))
		known := d.askPiece(ctx, q, values[:half])
		for v, a := range d.askPiece(ctx, q, values[half:]) {
			known[v] = a
		}
		return known
	}
	if len(found) > 0 {
		d.sees.Store(true)
	}
	if err == nil && len(found) < len(values) {
		err = d.showRole(ctx)
	}
	d.note(err)
	known := make(map[string]directory.AccountAnswer, len(values))
	if err == nil {
		d.settle(known, q, values, found)
	}
	return known
}

// settle says of each value what a whole answer tells: one row is Found, none NotFound, and of more
// nobody knows which is meant.
func (d *Directory) settle(known map[string]directory.AccountAnswer, q question, values []string, all []row) {
	byName := make(map[string][]row, len(all))
	for _, r := range all {
		byName[q.nameOf(r)] = append(byName[q.nameOf(r)], r)
	}
	for _, v := range values {
		switch found := byName[q.name(v)]; len(found) {
		case 0:
			known[v] = directory.AccountAnswer{Verdict: directory.NotFound}
		case 1:
			known[v] = directory.AccountAnswer{Verdict: directory.Found, Account: found[0].account()}
		default:
			d.twins.Tell(found[0].id, found[1].id)
		}
	}
}
