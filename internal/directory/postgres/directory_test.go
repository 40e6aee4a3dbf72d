package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

func TestAllProblemsOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Config{Installation: "UPPERCAS", Names: rows.Names{Schema: strings.Repeat("s", 64), Key: "a\nb"}})
	if err == nil {
		t.Fatal("it opened")
	}
	expectContains(t, err.Error(), "connection string", "logger", "UPPERCAS", "schema", "column of keys")
}

func TestIDsOfAnyShapeAreTheirOwn(t *testing.T) {
	w := newWorld(t, "text").migrate()
	ids := []string{"*", "a.b c", `"`, `'`, `\`, `,"()\ %&+`, "user", "K€y-鍵-🔑", strings.Repeat("long ", 400)}
	for i, id := range ids {
		w.do(`insert into "user" values ($1, $2)`, id, fmt.Sprint("key ", i))
	}
	d := w.open()
	events := directorytest.Watch(t, d.Accounts().Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	for i, a := range d.Accounts().Check(t.Context(), ids) {
		if a.Verdict != directory.Found || a.Account.ID != ids[i] {
			t.Errorf("account %q is %v %q", ids[i], a.Verdict, a.Account.ID)
		}
	}
	for i, id := range ids {
		key := directory.Key(fmt.Sprint("key ", i))
		e := directory.Enrolment{AccountID: id, Digest: key.Digest(), Info: &directory.MachineInfo{HWID: id[:1]}}
		if got := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]; got.Verdict != directory.Found || got.Machine.AccountID != id {
			t.Errorf("enrolling under account %q: %v", id, got.Verdict)
		}
		w.delete(id)
		events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
	}
}

func TestWhatCannotBeAnIDOrAKeyIsNotFound(t *testing.T) {
	odd := []string{"", "nobody", "1e3", "007", "+7", "99999999999999999999", "9f0c", "\x00", "a\x00b", "\xff", "9F0C4C38-6D7C-4E6F-9D3D-0D3F0C5C9B11"}
	for _, idType := range []string{"uuid", "bigint", "text", "numeric"} {
		w := newWorld(t, idType).migrate()
		d := w.open()
		for i, a := range d.Accounts().Check(t.Context(), odd) {
			if a.Verdict != directory.NotFound {
				t.Errorf("an account of type %s with id %q is %v", idType, odd[i], a.Verdict)
			}
		}
		keys := make([]directory.Key, len(odd))
		for i, o := range odd {
			keys[i] = directory.Key(o)
		}
		for i, a := range d.Accounts().Lookup(t.Context(), keys) {
			if a.Verdict != directory.NotFound {
				t.Errorf("key %q is %v", odd[i], a.Verdict)
			}
		}
		for i, a := range d.Machines().Check(t.Context(), odd) {
			if a.Verdict != directory.NotFound {
				t.Errorf("machine %q is %v", odd[i], a.Verdict)
			}
		}
		for _, o := range odd {
			e := directory.Enrolment{AccountID: o, Info: &directory.MachineInfo{HWID: o}}
			if got := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]; got.Verdict != directory.Unavailable {
				t.Errorf("enrolling under account %q of type %s: %v", o, idType, got.Verdict)
			}
		}
		d.Close()
	}
}

func TestKeysMayBeOfAnyTextLikeType(t *testing.T) {
	uuid := "9f0c4c38-6d7c-4e6f-9d3d-0d3f0c5c9b11"
	for keyType, stored := range map[string]string{"varchar(60)": "Key", "char(60)": "Key", "uuid": uuid, "name": "Key"} {
		w := newWorld(t, "bigint").migrate()
		w.do(`alter table "user" alter apikey type ` + keyType + ` using apikey::` + keyType)
		w.Exec(t, w.names.Migration())
		w.do(`insert into "user" values (1, '` + stored + `')`)
		d := w.open()
		got := d.Accounts().Lookup(t.Context(), []directory.Key{directory.Key(stored), directory.Key(strings.ToUpper(stored)), directory.Key(stored + " ")})
		for i, want := range []directory.Verdict{directory.Found, directory.NotFound, directory.NotFound} {
			if got[i].Verdict != want {
				t.Errorf("in a column of type %s key %d is %v, want %v", keyType, i, got[i].Verdict, want)
			}
		}
		d.Close()
	}
}

func TestAKeyOfTwoAccountsOpensNeither(t *testing.T) {
	w := newWorld(t, "bigint")
	w.do(`alter table "user" drop constraint user_apikey_key`)
	w.do(`insert into "user" values (1, 'shared'), (2, 'shared'), (3, 'own'), (4, null)`)
	d := w.open()
	got := d.Accounts().Lookup(t.Context(), []directory.Key{"shared", "own", ""})
	if got[0].Verdict != directory.Unavailable || got[1].Verdict != directory.Found || got[2].Verdict != directory.NotFound {
		t.Errorf("the answers are %v", got)
	}
	expectContains(t, w.logs.String(), "two accounts cannot be told apart")
	if strings.Contains(w.logs.String(), "shared") {
		t.Error("the log holds the key")
	}
	if a := d.Accounts().Check(t.Context(), []string{"4"})[0]; a.Verdict != directory.Found || a.Account.Opens(directory.Key("").Digest()) {
		t.Errorf("an account without a key is %v", a.Verdict)
	}
}

func TestAccountsAreListedBeyondOnePageWithoutKeys(t *testing.T) {
	for _, idType := range []string{"uuid", "bigint", "text", "numeric"} {
		w := newWorld(t, idType)
		id := map[string]string{"uuid": "gen_random_uuid()"}[idType]
		if id == "" {
			id = "n"
		}
		w.do(`insert into "user" select ` + id + `, 'key ' || n from generate_series(1, 2500) n`)
		d := w.open()
		list, err := d.Accounts().ListAccounts(t.Context())
		if err != nil || len(list) != 2500 {
			t.Fatalf("listed %d accounts of type %s (%v)", len(list), idType, err)
		}
		ids := make([]string, len(list))
		for i, a := range list {
			ids[i] = a.ID
			if len(a.Digests) > 0 {
				t.Fatal("a list tells of keys")
			}
		}
		for i, a := range d.Accounts().Check(t.Context(), ids) {
			if a.Verdict != directory.Found {
				t.Fatalf("listed account %q is %v", ids[i], a.Verdict)
			}
		}
		d.Close()
	}
}

func TestChangesOfAccountsAreAnsweredWithTheStatement(t *testing.T) {
	for _, idType := range []string{"uuid", "bigint", "text"} {
		w := newWorld(t, idType)
		d := w.open()
		statement := func(err error) string {
			t.Helper()
			var elsewhere directory.Elsewhere
			if !errors.As(err, &elsewhere) || !errors.Is(err, directory.ErrManagedElsewhere) {
				t.Fatalf("the error is %v", err)
			}
			return elsewhere.Statement
		}
		_, _, err := d.Accounts().Add(t.Context(), "name")
		w.do(statement(err))
		list, err := d.Accounts().ListAccounts(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%d accounts, %v", len(list), err)
		}
		before := d.Accounts().Check(t.Context(), []string{list[0].ID})[0].Account
		_, err = d.Accounts().Rotate(t.Context(), list[0].ID, 0)
		w.do(statement(err))
		if after := d.Accounts().Check(t.Context(), []string{list[0].ID})[0].Account; after.Opens(before.Digests[0]) {
			t.Error("the old key still opens")
		}
		w.do(statement(d.Accounts().DeleteAccount(t.Context(), list[0].ID)))
		if v := d.Accounts().Check(t.Context(), []string{list[0].ID})[0].Verdict; v != directory.NotFound {
			t.Errorf("deleted it is %v", v)
		}
		d.Close()
	}
}

func TestAClosedDirectoryKnowsNothing(t *testing.T) {
	w := newWorld(t, "text")
	d := w.open()
	id := w.add("key")
	ended := make(chan error, 1)
	go func() { ended <- d.Accounts().Watch(context.Background(), func(directory.Event) {}) }()
	d.Close()
	if err := <-ended; !errors.Is(err, feed.ErrClosed) {
		t.Errorf("watching ended with %v", err)
	}
	if v := d.Accounts().Check(t.Context(), []string{id})[0].Verdict; v != directory.Unavailable {
		t.Errorf("an account of a closed directory is %v", v)
	}
	if _, err := d.Accounts().ListAccounts(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("listing a closed directory: %v", err)
	}
}

func TestAConnectionStringNeverShows(t *testing.T) {
	var b bytes.Buffer
	u := URL("postgres://fleet:hunter2@db.example/prod")
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("opening", "url", u, "config", Config{URL: u})
	}
	fmt.Fprintf(&b, "%v %+v %#v %s %q %x", u, Config{URL: u}, u, u, u, u)
	for _, bad := range []URL{"postgres://fleet:hunter2@db.example:port/prod", "hunter2 = = hunter2", "postgres://fleet:hunter2@127.0.0.1:1/prod?connect_timeout=2"} {
		_, err := Open(t.Context(), Config{URL: bad, Installation: installation, Logger: slog.New(slog.NewTextHandler(&b, nil))})
		if err == nil {
			t.Fatalf("%q opens", string(bad))
		}
		fmt.Fprintln(&b, err)
	}
	for _, secret := range []string{"hunter2", "68756e74657232", "fleet:", "prod"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%s shows: %s", secret, &b)
		}
	}
}

func TestColumnsThatAreAlteredUnderARunningFleetHideNobody(t *testing.T) {
	w := newWorld(t, "integer")
	w.do(`insert into "user" values (1, 'one')`)
	d := w.open()
	lookUp := func(key directory.Key, id string) {
		t.Helper()
		for range 2 { // once with the question that no longer fits
			got := d.Accounts().Lookup(t.Context(), []directory.Key{key})
			got = append(got, d.Accounts().Check(t.Context(), []string{id})...)
			for _, a := range got {
				if a.Verdict != directory.Found && a.Verdict != directory.Unavailable || a.Verdict == directory.Found && a.Account.ID != id {
					t.Errorf("account %s is %v %q", id, a.Verdict, a.Account.ID)
				}
			}
		}
		if a := d.Accounts().Check(t.Context(), []string{id})[0]; a.Verdict != directory.Found {
			t.Errorf("in the end account %s is %v", id, a.Verdict)
		}
	}
	lookUp("one", "1")
	for _, next := range [][2]string{{"bigint", "9007199254740993"}, {"numeric", "1.5"}, {"text", "an id"}} {
		w.Exec(t, `alter table "user" alter id type `+next[0]+`; update "user" set id = '`+next[1]+`'`)
		lookUp("one", next[1])
	}
	w.Exec(t, `update "user" set apikey = '9f0c4c38-6d7c-4e6f-9d3d-0d3f0c5c9b11'; alter table "user" alter apikey type uuid using apikey::uuid`)
	lookUp("9f0c4c38-6d7c-4e6f-9d3d-0d3f0c5c9b11", pgtest.Get[string](t, w.Database, `select id::text from "user"`))
}
