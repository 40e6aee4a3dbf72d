package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

const installation = "abcdefgh"

// world is a database with the owner's table, and what the owner does there.
type world struct {
	*pgtest.Database
	t      testing.TB
	idType string
	names  rows.Names
	conn   *pgx.Conn // the owner's
	logs   *logs
}

func newWorld(t testing.TB, idType string) *world {
	t.Helper()
	return newWorldIn(t, pgtest.Shared(t).Database(t), "public", idType)
}

func newWorldIn(t testing.TB, d *pgtest.Database, schema, idType string) *world {
	t.Helper()
	w := &world{Database: d, t: t, idType: idType, names: rows.Names{Schema: schema}, logs: &logs{}}
	conn, err := pgx.Connect(context.Background(), w.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	w.do("create schema if not exists " + rows.Quote(schema))
	w.do("set search_path to " + rows.Quote(schema))
	w.do(`create table "user" (id ` + idType + ` primary key, apikey text unique)`)
	return w
}

// do runs one statement as the owner.
func (w *world) do(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.conn.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) migrate() *world {
	w.t.Helper()
	w.Exec(w.t, w.names.Migration())
	return w
}

func (w *world) open(change ...func(*Config)) *Directory {
	w.t.Helper()
	c := Config{URL: URL(w.URL), Names: w.names, Installation: installation, Logger: slog.New(slog.NewTextHandler(w.logs, nil))}
	for _, f := range change {
		f(&c)
	}
	d, err := Open(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.Close)
	return d
}

// add makes an account that a key opens.
func (w *world) add(key directory.Key) string {
	w.t.Helper()
	id := "gen_random_uuid()"
	switch w.idType {
	case "bigint":
		id = "(select coalesce(max(id), 9007199254740993) + 1 from \"user\")"
	case "text":
		id = "'acc_" + rand.Text() + "'"
	}
	var made string
	if err := w.conn.QueryRow(context.Background(), `insert into "user" (id, apikey) values (`+id+`, $1) returning id::text`, string(key)).Scan(&made); err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) delete(id string) { w.t.Helper(); w.do(`delete from "user" where id::text = $1`, id) }

func (w *world) rotate(id string, key directory.Key) {
	w.t.Helper()
	w.do(`update "user" set apikey = $2 where id::text = $1`, id, string(key))
}

// outage ends the directory's connections and lets it make no others, or ends that.
func (w *world) outage(on bool) {
	w.t.Helper()
	pgtest.Shared(w.t).Exec(w.t, fmt.Sprintf("alter database %s allow_connections %t", w.Name, !on))
	if on {
		w.killAll()
	}
}

func (w *world) killAll() {
	w.t.Helper()
	w.do(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1 and application_name = 'fleetline'`, w.Name)
}

func (w *world) fixture(d *Directory) directorytest.Fixture {
	f := directorytest.Fixture{
		Accounts: d.Accounts(), Add: w.add, Delete: w.delete, Rotate: w.rotate, Outage: w.outage,
		Restart: func() directorytest.Fixture {
			d.Close()
			return w.fixture(w.open())
		},
	}
	if d.HasMachines() {
		f.Machines, f.Admin = d.Machines(), d.Machines()
	}
	return f
}

// logs is what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Each test has a schema of its own, under a name that must be quoted: databases take longer to make.
// Each suite has a database, for an outage is one of all that is in it.
func TestPostgresIsADirectory(t *testing.T) {
	t.Parallel()
	for _, idType := range []string{"uuid", "bigint", "text"} {
		t.Run(idType, func(t *testing.T) {
			t.Parallel()
			runSuite(t, idType, func(w *world) *world { return w })
		})
		t.Run(idType+"WithMachines", func(t *testing.T) {
			t.Parallel()
			runSuite(t, idType, (*world).migrate)
		})
	}
}

func runSuite(t *testing.T, idType string, prepare func(*world) *world) {
	d := pgtest.Shared(t).Database(t)
	schemas := 0
	directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
		schemas++
		w := prepare(newWorldIn(t, d, fmt.Sprintf(`The "Schema's" \ %d`, schemas), idType))
		return w.fixture(w.open())
	})
}

func expectContains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, one := range want {
		if !strings.Contains(text, one) {
			t.Errorf("%q does not say %q", text, one)
		}
	}
}
