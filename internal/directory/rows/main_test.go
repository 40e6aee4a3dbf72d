package rows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

const installation = "abcdefgh"

// caller calls over a connection of its own each time.
type caller struct {
	url    string
	schema string
}

func (c caller) Call(ctx context.Context, function string, args, result any) error {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	ask, err := json.Marshal(args)
	if err != nil {
		return err
	}
	var answer []byte
	sql := fmt.Sprintf(`select %s.%s($1::text::jsonb)::text`, c.schema, function)
	err = conn.QueryRow(ctx, sql, string(ask)).Scan(&answer)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42883" || pg.Code == "3F000") {
		return fmt.Errorf("%w: %w", rows.ErrNotInstalled, err)
	}
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(answer, result)
}

// newDatabase has the owner's table with ids of a type, and the migration if it is wanted.
func newDatabase(t testing.TB, idType string) *pgtest.Database {
	t.Helper()
	d := pgtest.Shared(t).Database(t)
	d.Exec(t, `create table public."user" (id `+idType+` primary key, apikey text unique)`)
	return d
}

func newMachines(d *pgtest.Database) *rows.Machines {
	return rows.NewMachines(caller{url: d.URL, schema: "public"}, installation, slog.New(slog.NewTextHandler(io.Discard, nil)))
}
