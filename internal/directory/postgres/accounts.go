package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
)

// Accounts is the face of a Directory that knows accounts, for the gateway and for operators.
type Accounts struct {
	db        *database
	feed      *feed.Feed
	life      context.Context
	twins     *rows.Twins
	complaint *rows.Complaint
}

// pageSize is how many accounts are listed at once.
const pageSize = 1000

// Lookup answers for each key, in order, with one query. Two rows with one key are nobody's.
func (a *Accounts) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = string(k)
	}
	found, err := a.find(ctx, texts, func(t *table) column { return t.key })
	if err != nil {
		return make([]directory.AccountAnswer, len(keys))
	}
	byDigest := make(map[directory.Digest][]directory.Account, len(found))
	for _, account := range found {
		for _, d := range account.Digests {
			byDigest[d] = append(byDigest[d], account)
		}
	}
	answers := make([]directory.AccountAnswer, len(keys))
	for i, k := range keys {
		answers[i] = a.only(byDigest[k.Digest()])
		if answers[i].Verdict == directory.Found && !answers[i].Account.Opens(k.Digest()) {
			answers[i] = directory.AccountAnswer{}
		}
	}
	return answers
}

// Check answers for each id, in order, with one query.
func (a *Accounts) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	found, err := a.find(ctx, ids, func(t *table) column { return t.id })
	if err != nil {
		return make([]directory.AccountAnswer, len(ids))
	}
	byID := make(map[string][]directory.Account, len(found))
	for _, account := range found {
		byID[account.ID] = append(byID[account.ID], account)
	}
	answers := make([]directory.AccountAnswer, len(ids))
	for i, id := range ids {
		answers[i] = a.only(byID[id])
	}
	return answers
}

// only answers with the one row there is. Which of two is meant nobody knows.
func (a *Accounts) only(found []directory.Account) directory.AccountAnswer {
	switch len(found) {
	case 0:
		return directory.AccountAnswer{Verdict: directory.NotFound}
	case 1:
		return directory.AccountAnswer{Verdict: directory.Found, Account: found[0]}
	}
	a.twins.Tell(found[0].ID, found[1].ID)
	return directory.AccountAnswer{}
}

func (a *Accounts) find(ctx context.Context, texts []string, by func(*table) column) ([]directory.Account, error) {
	t := a.db.table.Load()
	possible := by(t).possible(texts)
	found, err := a.query(ctx, t.find(by(t)), possible)
	a.complaint.Note(err)
	if errors.Is(err, errAltered) || isAboutNames(err) {
		_ = a.db.readTable(ctx, a.db.pool) // for the next question; what fails shows then
	}
	return found, err
}

// query runs a query whose rows say first whether they can be believed.
func (a *Accounts) query(ctx context.Context, sql string, arg any) ([]directory.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := a.db.pool.Query(ctx, sql, arg)
	if err != nil {
		return nil, describe(err)
	}
	var found []directory.Account
	var isReplica, isHidden, isAltered bool
	var id *string
	var digest []byte
	answer, err := pgx.ForEachRow(result, []any{&isReplica, &isHidden, &isAltered, &id, &digest}, func() error {
		switch {
		case isReplica:
			return errReplica
		case isHidden:
			return errHidden
		case isAltered:
			return errAltered
		case id != nil:
			found = append(found, account(*id, digest))
		}
		return nil
	})
	switch {
	case isReplica:
		a.db.pool.Reset() // there is another primary now
	case err == nil && answer.RowsAffected() == 0:
		err = errOdd
	}
	return found, describe(err)
}

func account(id string, digest []byte) directory.Account {
	a := directory.Account{ID: id}
	if len(digest) == len(directory.Digest{}) {
		a.Digests = []directory.Digest{directory.Digest(digest)}
	}
	return a
}

// Watch reports changes of accounts until ctx ends. A watcher that is slower than the changes is
// told Lost, then Live.
func (a *Accounts) Watch(ctx context.Context, report func(directory.Event)) error {
	return a.feed.Watch(ctx, a.life, report)
}

// ListAccounts returns the accounts, in order of id, and nothing of their keys.
func (a *Accounts) ListAccounts(ctx context.Context) ([]directory.Account, error) {
	t := a.db.table.Load()
	var list []directory.Account
	var after *string
	for {
		page, err := a.query(ctx, t.page(after == nil), after)
		if err != nil {
			return nil, fmt.Errorf("listing accounts: %w", unavailable(err))
		}
		list = append(list, page...)
		if len(page) < pageSize {
			return list, nil
		}
		after = &page[pageSize-1].ID
	}
}

// Add answers with the statement: the accounts are the owner's.
func (a *Accounts) Add(context.Context, string) (directory.Account, directory.Key, error) {
	return directory.Account{}, "", directory.Elsewhere{Statement: a.db.table.Load().insert()}
}

// DeleteAccount answers with the statement.
func (a *Accounts) DeleteAccount(_ context.Context, id string) error {
	t := a.db.table.Load()
	return directory.Elsewhere{Statement: "delete from " + t.quoted() + " where " + t.id.name + " = " + rows.Literal(id) + ";"}
}

// Rotate answers with the statement.
func (a *Accounts) Rotate(_ context.Context, id string, _ time.Duration) (directory.Key, error) {
	t := a.db.table.Load()
	return "", directory.Elsewhere{Statement: "update " + t.quoted() + " set " + t.key.name + " = " + t.key.random("flk_") +
		" where " + t.id.name + " = " + rows.Literal(id) + " returning " + t.id.name + ", " + t.key.name + ";"}
}

// insert is the statement that adds an account.
func (t *table) insert() string {
	columns, values := t.key.name, t.key.random("flk_")
	if !t.id.hasDefault {
		columns, values = t.id.name+", "+columns, t.id.random("acc_")+", "+values
	}
	return "insert into " + t.quoted() + " (" + columns + ") values (" + values + ") returning " + t.id.name + ", " + t.key.name + ";"
}

// random is an expression for a new value of the column.
func (c column) random(prefix string) string {
	switch c.kind {
	case uuid:
		return "gen_random_uuid()"
	case integer:
		return "(random() * 1000000000)::" + c.cast
	}
	return "'" + prefix + "' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')"
}
