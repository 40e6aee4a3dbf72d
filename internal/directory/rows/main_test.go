package rows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

const installation = "abcdefgh"

// caller is the least a Caller can be.
type caller struct{ pool *pgxpool.Pool }

func (c caller) Call(ctx context.Context, function string, args, result any) error {
	ask, err := json.Marshal(args)
	if err != nil {
		return err
	}
	var answer []byte
	err = c.pool.QueryRow(ctx, "select public."+function+"($1::text::jsonb)::text", string(ask)).Scan(&answer)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42883" {
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

// migrated has the migration too.
func migrated(t testing.TB, idType string) *pgtest.Database {
	t.Helper()
	d := newDatabase(t, idType)
	d.Exec(t, rows.Names{}.Migration())
	return d
}

func newMachines(t testing.TB, d *pgtest.Database) *rows.Machines {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), d.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return rows.NewMachines(caller{pool}, installation, slog.New(slog.DiscardHandler))
}

func enrolment(account string, key directory.Key, hwid string) directory.Enrolment {
	e := directory.Enrolment{AccountID: account, Digest: key.Digest()}
	if hwid != "" {
		e.Info = &directory.MachineInfo{HWID: hwid, Hostname: "host of " + hwid}
	}
	return e
}

func enrolled(t testing.TB, m *rows.Machines, e directory.Enrolment) string {
	t.Helper()
	a := m.Enrol(t.Context(), []directory.Enrolment{e})[0]
	if a.Verdict != directory.Found || !strings.HasPrefix(a.Machine.ID, "mch_"+installation+"_") || len(a.Machine.ID) != 4+8+1+16 {
		t.Fatalf("enrolling: %v %q", a.Verdict, a.Machine.ID)
	}
	return a.Machine.ID
}

func expectVerdict(t testing.TB, m *rows.Machines, id string, want directory.Verdict) {
	t.Helper()
	if got := m.Check(t.Context(), []string{id})[0].Verdict; got != want {
		t.Errorf("machine %s is %v, want %v", id, got, want)
	}
}
