package embedded

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// Accounts is the face of a Directory that knows accounts, for the gateway and for operators.
type Accounts struct {
	bucket   *bucket
	book     *accountBook
	machines *Machines
}

const keyPrefix = "flk_"

var base64url = base64.RawURLEncoding.Strict()

// Lookup answers for each key, in order.
func (a *Accounts) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	return a.answer(ctx, len(keys), func(i int) directory.AccountAnswer { return a.book.lookup(keys[i].Digest()) })
}

// Check answers for each id, in order.
func (a *Accounts) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	return a.answer(ctx, len(ids), func(i int) directory.AccountAnswer { return a.book.check(ids[i]) })
}

func (a *Accounts) answer(ctx context.Context, n int, one func(int) directory.AccountAnswer) []directory.AccountAnswer {
	return answer(ctx, a.bucket, n, one, func(x directory.AccountAnswer) directory.Verdict { return x.Verdict })
}

// answer asks one for each of n answers. Found is said from memory; anything else only after memory
// has caught up with the leader, in one go for all.
func answer[A any](ctx context.Context, b *bucket, n int, one func(int) A, verdict func(A) directory.Verdict) []A {
	answers := make([]A, n)
	if !b.isLive() {
		return answers
	}
	var unsure []int
	for i := range answers {
		if answers[i] = one(i); verdict(answers[i]) != directory.Found {
			unsure = append(unsure, i)
		}
	}
	if len(unsure) == 0 {
		return answers
	}
	err := b.sync(ctx)
	for _, i := range unsure {
		var unavailable A
		if answers[i] = unavailable; err == nil {
			answers[i] = one(i)
		}
	}
	return answers
}

// Watch reports changes of accounts until ctx ends. A watcher that is slower than the changes is
// told Lost, then Live.
func (a *Accounts) Watch(ctx context.Context, report func(directory.Event)) error {
	return a.book.feed.Watch(ctx, a.bucket.life, func(e directory.Event) {
		e.Proven = e.Proven && a.bucket.isLive() && a.book.check(e.ID).Verdict == directory.Deleted
		report(e)
	})
}

// Add makes an account and the key that opens it.
func (a *Accounts) Add(ctx context.Context, name string) (directory.Account, directory.Key, error) {
	key := newKey()
	id, err := a.add(ctx, name, key)
	if err != nil {
		return directory.Account{}, "", fmt.Errorf("adding an account: %w", err)
	}
	return a.book.check(id).Account, key, nil
}

func (a *Accounts) add(ctx context.Context, name string, key directory.Key) (id string, err error) {
	if a.bucket.isFull(ctx) {
		return "", directory.ErrFull
	}
	id = "acc_" + directory.RandomID()
	record := accountRecord{
		Name: name, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		Keys: []keyRecord{{Digest: digest(key.Digest())}},
	}
	if err := a.bucket.update(ctx, id, encode(record), 0); err != nil {
		return "", err
	}
	return id, a.bucket.harden()
}

// ListAccounts returns the accounts that exist, in order of id.
func (a *Accounts) ListAccounts(context.Context) ([]directory.Account, error) {
	if !a.bucket.isLive() {
		return nil, directory.ErrUnavailable
	}
	return a.book.all(), nil
}

// Rotate gives the account a new key.
func (a *Accounts) Rotate(ctx context.Context, id string, grace time.Duration) (directory.Key, error) {
	key := newKey()
	err := a.rotate(ctx, id, key, grace)
	if err == nil {
		err = a.bucket.harden()
	}
	if err != nil {
		return "", fmt.Errorf("rotating a key: %w", err)
	}
	return key, nil
}

func (a *Accounts) rotate(ctx context.Context, id string, key directory.Key, grace time.Duration) error {
	return a.change(ctx, id, func(r accountRecord) (accountRecord, error) {
		if !r.DeletedAt.IsZero() {
			return r, directory.ErrNotFound
		}
		r.Keys = rotated(r.Keys, key, time.Now(), grace)
		return r, nil
	})
}

// rotated puts a new key first. Those before it end after grace, or sooner if they were to.
func rotated(keys []keyRecord, key directory.Key, now time.Time, grace time.Duration) []keyRecord {
	next := []keyRecord{{Digest: digest(key.Digest())}}
	end := now.Add(grace).UTC()
	for _, k := range keys {
		if k.Digest == next[0].Digest || !k.opens(now) || grace <= 0 {
			continue
		}
		if k.Until.IsZero() || k.Until.After(end) {
			k.Until = end
		}
		next = append(next, k)
	}
	return next
}

// DeleteAccount deletes the machines first: were it cut short, the account would still be there to
// be deleted again. Machines that are enrolled meanwhile are deleted after the account, under which
// nothing is enrolled any more.
func (a *Accounts) DeleteAccount(ctx context.Context, id string) error {
	if err := a.deleteAccount(ctx, id); err != nil {
		return fmt.Errorf("deleting an account: %w", err)
	}
	return nil
}

func (a *Accounts) deleteAccount(ctx context.Context, id string) error {
	if v := a.Check(ctx, []string{id})[0].Verdict; v == directory.NotFound {
		return directory.ErrNotFound
	} else if v == directory.Unavailable {
		return directory.ErrUnavailable
	}
	if err := a.machines.DeleteAll(ctx, id); err != nil {
		return err
	}
	err := a.change(ctx, id, func(r accountRecord) (accountRecord, error) {
		if r.DeletedAt.IsZero() {
			r.DeletedAt, r.Keys = time.Now().UTC().Truncate(time.Millisecond), nil
		}
		return r, nil
	})
	if err == nil {
		err = a.bucket.harden()
	}
	if err != nil {
		return err
	}
	return a.machines.DeleteAll(ctx, id)
}

// attempts bounds how often a write is tried again because the record changed meanwhile. Each try
// starts from a record that another node has just written.
const attempts = 16

// change replaces a record by what edit makes of it.
func (a *Accounts) change(ctx context.Context, id string, edit func(accountRecord) (accountRecord, error)) error {
	for range attempts {
		if err := a.bucket.sync(ctx); err != nil {
			return unavailable(err)
		}
		page := a.book.page(id)
		switch page.state {
		case absent:
			return directory.ErrNotFound
		case bad:
			return fmt.Errorf("%w: the record cannot be read", directory.ErrUnavailable)
		}
		next, err := edit(page.record)
		if err != nil {
			return err
		}
		if err = a.bucket.update(ctx, id, encode(next), page.revision); !errors.Is(err, errConflict) {
			return err
		}
	}
	return unavailable(errConflict)
}

func newKey() directory.Key {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return directory.Key(keyPrefix + base64url.EncodeToString(b))
}
