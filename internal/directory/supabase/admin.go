package supabase

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

// pageRows is how many rows one page of a list asks for; a project may send fewer.
const pageRows = 1000

// newKeySQL makes a key of 244 random bits without any extension.
const newKeySQL = `'flk_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')`

// ListAccounts returns the accounts in the project's order of ids, without their keys.
func (a *Accounts) ListAccounts(ctx context.Context) ([]directory.Account, error) {
	var all []directory.Account
	seen := make(map[string]bool)
	for after := ""; ; {
		page, err := a.d.page(ctx, "list", after, pageRows)
		if err != nil {
			return nil, fmt.Errorf("listing accounts: %w", err)
		}
		if len(page) == 0 { // a short page is no end: the project's limit of rows may be lower than ours
			return all, nil
		}
		for _, r := range page {
			if seen[r.id] {
				return nil, fmt.Errorf("listing accounts: %w", errStranger)
			}
			seen[r.id] = true
			all = append(all, directory.Account{ID: r.id})
		}
		after = page[len(page)-1].id
	}
}

// Add tells the statement that adds an account: the service key may not make rows of a table whose
// other columns only the owner knows.
func (a *Accounts) Add(context.Context, string) (directory.Account, directory.Key, error) {
	n := a.d.names
	return directory.Account{}, "", directory.Elsewhere{Statement: fmt.Sprintf("insert into %s (%s) values (%s) returning %s, %[2]s;",
		n.Table(n.Accounts), rows.Quote(n.Key), newKeySQL, rows.Quote(n.ID))}
}

// DeleteAccount tells the statement that deletes the account.
func (a *Accounts) DeleteAccount(_ context.Context, id string) error {
	n := a.d.names
	return directory.Elsewhere{Statement: fmt.Sprintf("delete from %s where %s = %s;",
		n.Table(n.Accounts), rows.Quote(n.ID), rows.Literal(id))}
}

// Rotate tells the statement that gives the account a new key.
func (a *Accounts) Rotate(_ context.Context, id string, _ time.Duration) (directory.Key, error) {
	n := a.d.names
	return "", directory.Elsewhere{Statement: fmt.Sprintf("update %s set %s = %s where %s = %s returning %[2]s;",
		n.Table(n.Accounts), rows.Quote(n.Key), newKeySQL, rows.Quote(n.ID), rows.Literal(id))}
}

var _ directory.AccountAdmin = (*Accounts)(nil)
