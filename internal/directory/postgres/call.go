package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
)

// noFunction and noSchema are the codes of a function that is not there.
const (
	noFunction = "42883"
	noSchema   = "3F000"
)

// Call calls one of the functions of package rows.
func (d *database) Call(ctx context.Context, function string, args, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ask, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	sql := "select " + rows.Quote(d.names.Schema) + "." + function + "($1::text::jsonb)::text"
	var answer []byte
	if err := d.pool.QueryRow(ctx, sql, string(ask)).Scan(&answer); err != nil {
		if code(err) == noFunction || code(err) == noSchema {
			return fmt.Errorf("%w: %w", rows.ErrNotInstalled, describe(err))
		}
		return describe(err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return errOdd // what the decoder says may quote rows
	}
	return nil
}

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}
