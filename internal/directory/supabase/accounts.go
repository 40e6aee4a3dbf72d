package supabase

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
)

// Accounts is the face of a Directory that knows accounts.
type Accounts struct{ d *Directory }

// Lookup answers for each key, in order.
func (a *Accounts) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	values := make([]string, len(keys))
	for i, k := range keys {
		values[i] = string(k)
	}
	// No account is opened by an empty key, and no text column holds the others.
	possible := func(key string) bool { return key != "" && isText(key) }
	answers := a.d.answers(ctx, a.d.byKey(), values, possible)
	for i, k := range keys {
		if answers[i].Verdict == directory.Found && !answers[i].Account.Opens(k.Digest()) {
			answers[i] = directory.AccountAnswer{}
		}
	}
	return answers
}

// Check answers for each id, in order.
func (a *Accounts) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	return a.d.answers(ctx, a.d.byID(), ids, a.d.standing().ids.fits)
}

// Watch reports changes of accounts until ctx ends. A watcher that is slower than the changes is
// told Lost, then Live.
func (a *Accounts) Watch(ctx context.Context, report func(directory.Event)) error {
	return a.d.accounts.Watch(ctx, a.d.life, report)
}

// answers answers for each value, in order. Values that no row can have are not asked for.
func (d *Directory) answers(ctx context.Context, q question, values []string, possible func(string) bool) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(values))
	if len(values) == 0 || !d.standing().proven {
		return answers
	}
	ask := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !possible(v) })
	slices.Sort(ask)
	known := d.ask(ctx, q, slices.Compact(ask))
	for i, v := range values {
		if possible(v) {
			answers[i] = known[v] // Unavailable if nothing was told of it
		} else {
			answers[i].Verdict = directory.NotFound
		}
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
	rows, err := d.read(ctx, q, values)
	half := len(values) / 2
	if errors.Is(err, errCut) && half > 0 {
		d.most.Store(int64(half))
		known := d.askPiece(ctx, q, values[:half])
		for v, a := range d.askPiece(ctx, q, values[half:]) {
			known[v] = a
		}
		return known
	}
	if err == nil && len(rows) < len(values) {
		err = d.showRole(ctx, rows)
	}
	d.note(err)
	known := make(map[string]directory.AccountAnswer, len(values))
	if err == nil {
		d.settle(known, q, values, rows)
	}
	return known
}

// settle says of each value what a whole answer tells: one row is Found, none NotFound, and of more
// nobody knows which is meant.
func (d *Directory) settle(known map[string]directory.AccountAnswer, q question, values []string, rows []row) {
	byName := make(map[string][]row, len(rows))
	for _, r := range rows {
		byName[q.nameOf(r)] = append(byName[q.nameOf(r)], r)
	}
	for _, v := range values {
		switch found := byName[q.name(v)]; len(found) {
		case 0:
			known[v] = directory.AccountAnswer{Verdict: directory.NotFound}
		case 1:
			known[v] = directory.AccountAnswer{Verdict: directory.Found, Account: found[0].account()}
		default:
			d.log.Error("two accounts cannot be told apart; neither is admitted", "asked", q.kind, "id", found[0].id, "other", found[1].id)
		}
	}
}
