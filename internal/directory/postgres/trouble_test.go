package postgres

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/jackc/pgx/v5"
)

// deafen stands between a client and the server as a transaction pooler does: queries pass, and
// nothing that is notified ever arrives.
func deafen(t *testing.T, url string) string {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	network, addr := "unix", c.Host+"/.s.PGSQL.5432"
	var work sync.WaitGroup
	work.Go(func() { // ends with the listener
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { // ends with either connection
				defer func() { _ = client.Close() }()
				server, err := net.Dial(network, addr)
				if err != nil {
					return
				}
				work.Go(func() { // likewise
					_, _ = io.Copy(server, client)
					_ = server.Close()
				})
				passQueries(client, server)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return "postgres://postgres@" + l.Addr().String() + "/" + c.Database + "?sslmode=disable"
}

// passQueries copies what the server says, but for notifications: a letter, four bytes of length,
// the rest.
func passQueries(client io.Writer, server io.Reader) {
	var head [5]byte
	for {
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'A' {
			continue
		}
		if _, err := client.Write(append(head[:], body...)); err != nil {
			return
		}
	}
}

func TestATransactionPoolerIsFoundOutAndQueriesGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "text").migrate()
	id := w.add("key")
	behind := deafen(t, w.URL)
	d := w.open(func(c *Config) { c.URL = URL(behind) })
	if err := d.Health(); err == nil {
		t.Fatal("it is called live")
	} else {
		expectContains(t, err.Error(), "transaction pooler")
	}
	if a := d.Accounts().Lookup(t.Context(), []directory.Key{"key"})[0]; a.Verdict != directory.Found || a.Account.ID != id {
		t.Errorf("behind the pooler the account is %v", a.Verdict)
	}
	d.Close()
}

func TestARoleThatMayNotInstallTriggersPollsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "text")
	role := pgtest.Get[string](t, w.Database, `select 'reader_' || current_database()`)
	w.do(`create role ` + role + ` login; grant select on "user" to ` + role)
	id := w.add("key")
	reader := strings.Replace(w.URL, "postgres@", role+"@", 1)
	d := w.open(func(c *Config) { c.URL = URL(reader) })
	if err := d.Health(); err == nil {
		t.Fatal("it is called live")
	} else {
		expectContains(t, err.Error(), "triggers", "permission")
	}
	accounts := record(t, d.Accounts().Watch)
	accounts.await(t, "Lost", func(list []directory.Event) bool { return len(list) == 1 && list[0].Kind == directory.Lost })
	if v := d.Accounts().Check(t.Context(), []string{id})[0].Verdict; v != directory.Found {
		t.Errorf("the account is %v", v)
	}
	d.Close()

	// The owner runs what it prints.
	w.Exec(t, d.FeedSQL())
	w.Exec(t, d.FeedSQL())
	d = w.open(func(c *Config) { c.URL = URL(reader) })
	accounts = record(t, d.Accounts().Watch)
	accounts.expectLives(t, 1)
	w.delete(id)
	accounts.expect(t, directory.Event{Kind: directory.Gone, ID: id})
	d.Close()
}

func TestTriggersThatAreTakenAwayAreInstalledAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "text")
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	accounts.expectLives(t, 1)
	w.do(`drop function fleetline_tell_account cascade`)
	accounts.expectLives(t, 2) // the next proof finds it out
	id := w.add("key")
	w.delete(id)
	accounts.expect(t, directory.Event{Kind: directory.Gone, ID: id})
	d.Close()
}

// Row-level security that is switched on under a running fleet hides every row at once.
func TestRowLevelSecurityIsNeverAnAbsence(t *testing.T) {
	w := newWorld(t, "text").migrate()
	role := pgtest.Get[string](t, w.Database, `select 'gateway_' || current_database()`)
	w.do(`create role ` + role + ` login; alter table machines disable row level security; alter table fleetline_deletions disable row level security;
		grant all on all tables in schema public to ` + role + `; grant execute on all functions in schema public to ` + role)
	id := w.add("key")
	d := w.open(func(c *Config) { c.URL = URL(strings.Replace(w.URL, "postgres@", role+"@", 1)) })
	e := directory.Enrolment{AccountID: id, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: "h"}}
	machine := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]
	if machine.Verdict != directory.Found {
		t.Fatalf("enrolling: %v", machine.Verdict)
	}
	w.do(`alter table "user" enable row level security; alter table machines enable row level security`)
	if v := d.Accounts().Check(t.Context(), []string{id})[0].Verdict; v != directory.Unavailable {
		t.Errorf("a hidden account is %v", v)
	}
	if v := d.Machines().Check(t.Context(), []string{machine.Machine.ID})[0].Verdict; v != directory.Unavailable {
		t.Errorf("a hidden machine is %v", v)
	}
	expectContains(t, w.logs.String(), "row-level security")
	d.Close()
	if _, err := Open(t.Context(), d.db.config); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("opening it: %v", err)
	}
}

func TestNoKeyShowsInLogsAndErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "text").migrate()
	w.do(`alter table "user" drop constraint user_apikey_key`)
	const secret = "flk_very-secret-key"
	w.add(secret)
	w.add(secret)
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	d.Accounts().Lookup(t.Context(), []directory.Key{secret})
	w.do(`alter table "user" rename apikey to other`)
	d.Accounts().Lookup(t.Context(), []directory.Key{secret})
	w.do(`alter table "user" rename other to apikey`)
	w.outage(true)
	d.Accounts().Lookup(t.Context(), []directory.Key{secret})
	_, err := d.Accounts().ListAccounts(t.Context())
	if !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("listing: %v", err)
	}
	w.outage(false)
	accounts.expectLives(t, 2)
	all := w.logs.String() + accounts.reason() + err.Error()
	for _, hidden := range []string{"very-secret", w.URL, w.Name, "postgres://"} {
		if strings.Contains(all, hidden) {
			t.Errorf("%s shows in %s", hidden, all)
		}
	}
	expectContains(t, all, "a column is missing")
	d.Close()
}
