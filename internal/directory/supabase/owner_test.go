package supabase

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

func TestWhatOwnersDo(t *testing.T) {
	t.Parallel()
	s := server(t)
	for name, test := range map[string]func(*testing.T, *pgtest.Server){
		"AListHasEveryAccountAlthoughPagesAreShort":     listAll,
		"TheStatementsOfOperatorsWork":                  runStatements,
		"AChangedIDIsADeletionOfTheOldOne":              changeID,
		"ATruncatedTableIsFoundByACheck":                truncate,
		"AnAccountWithoutAKeyIsThereAndOpensForNobody":  noKey,
		"TwoAccountsWithOneKeyAreAdmittedNeither":       twins,
		"AnotherProjectSaysNothingOfTheseIDs":           otherProject,
		"AProjectWithOtherNamesWorks":                   otherNames,
		"AClosedDirectoryAnswersNothing":                closed,
		"KeysAreInNoURLOnceTheFunctionsAreInstalled":    noKeyInURL,
		"FunctionsThatComeLaterAreFoundAndMissedIfGone": functionsComeAndGo,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func listAll(t *testing.T, s *pgtest.Server) {
	for _, id := range idTypes {
		p := newProject(t, s, id, standin.Config{MaxRows: 7})
		p.db.Exec(t, `insert into "user" (apikey) select 'key ' || n from generate_series(1, 40) n`)
		d := p.open(p.config(p.key(false), &journal{}))
		all, err := d.Accounts().ListAccounts(t.Context())
		seen := make(map[string]bool)
		for _, a := range all {
			seen[a.ID] = true
			if len(a.Digests) > 0 {
				t.Error("a list tells of keys")
			}
		}
		if err != nil || len(all) != 40 || len(seen) != 40 {
			t.Errorf("with ids of type %s the list has %d accounts, %d different (%v)", id, len(all), len(seen), err)
		}
	}
}

func runStatements(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "text", standin.Config{})
	p.installLookups()
	a := p.open(p.config(p.key(false), &journal{})).Accounts()
	statement := func(err error) string {
		t.Helper()
		var e directory.Elsewhere
		if !errors.As(err, &e) || !errors.Is(err, directory.ErrManagedElsewhere) {
			t.Fatalf("the error is %v", err)
		}
		return e.Statement
	}
	_, _, err := a.Add(t.Context(), "name")
	p.db.Exec(t, statement(err))
	p.db.Exec(t, `update "user" set id = 'it''s \ odd'`)
	before := directory.Key(pgtest.Get[string](t, p.db, `select apikey from "user"`))
	if got := verdicts(a.Lookup(t.Context(), []directory.Key{before})); got != `found it's \ odd` {
		t.Errorf("the added account is %s", got)
	}
	_, err = a.Rotate(t.Context(), `it's \ odd`, 0)
	p.db.Exec(t, statement(err))
	if got := verdicts(a.Lookup(t.Context(), []directory.Key{before})); got != "not found" {
		t.Errorf("the old key is %s", got)
	}
	p.db.Exec(t, statement(a.DeleteAccount(t.Context(), `it's \ odd`)))
	if n := pgtest.Get[int](t, p.db, `select count(*) from "user"`); n != 0 {
		t.Errorf("%d accounts are left", n)
	}
}

func changeID(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "text", standin.Config{})
	id := p.add(present)
	d := p.open(p.config(p.key(true), &journal{}))
	events := hear(t, d)
	events.waitFor(t, "live")
	p.db.Exec(t, `update "user" set id = 'another'`)
	events.waitFor(t, "gone "+id)
	events.waitFor(t, "changed another")
}

func truncate(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "bigint", standin.Config{})
	id := p.add(present)
	d := p.open(p.config(p.key(true), &journal{}))
	p.db.Exec(t, `truncate "user"`)
	if got := verdicts(d.Accounts().Check(t.Context(), []string{id})); got != "not found" {
		t.Errorf("the account is %s", got)
	}
}

func noKey(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "bigint", standin.Config{})
	p.db.Exec(t, `insert into "user" (id, apikey) values (1, null), (2, '')`)
	d := p.open(p.config(p.key(false), &journal{}))
	for _, a := range d.Accounts().Check(t.Context(), []string{"1", "2"}) {
		if a.Verdict != directory.Found || len(a.Account.Digests) != 0 || a.Account.Opens(directory.Key("").Digest()) {
			t.Errorf("it is %v with %d digests", a.Verdict, len(a.Account.Digests))
		}
	}
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{""})); got != "not found" {
		t.Errorf("no key is %s", got)
	}
}

func twins(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "bigint", standin.Config{})
	p.db.Exec(t, `alter table "user" drop constraint user_apikey_key; insert into "user" values (1, 'twin'), (2, 'twin'), (3, 'one')`)
	j := &journal{}
	d := p.open(p.config(p.key(false), j))
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{"twin", "one", "none"})); got != "unavailable, found 3, not found" {
		t.Errorf("the answer is %s", got)
	}
	if log := j.String(); !strings.Contains(log, "cannot be told apart") || strings.Contains(log, "twin") {
		t.Errorf("the log is %s", log)
	}
}

// otherProject: neither an empty table nor one with other ids makes anybody look deleted to a gateway,
// which believes an absence only beside somebody who is found.
func otherProject(t *testing.T, s *pgtest.Server) {
	for _, id := range idTypes {
		p := newProject(t, s, id, standin.Config{})
		ids := []string{"3f333df6-90a4-4fda-8dd3-9485d27cee36", "12", "acc_text"}
		d := p.open(p.config(p.key(false), &journal{}))
		if got := verdicts(d.Accounts().Check(t.Context(), ids)); got != "unavailable, unavailable, unavailable" {
			t.Errorf("in an empty project they are %s", got)
		}
		p.add("somebody else's")
		for _, a := range d.Accounts().Check(t.Context(), ids) {
			if a.Verdict == directory.Found {
				t.Errorf("another's account is found")
			}
		}
	}
}

func otherNames(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "bigint", standin.Config{Schemas: []string{"my schema"}})
	p.db.Exec(t, `create schema "my schema"; grant usage on schema "my schema" to service_role;
		create table "my schema"."the-users" ("the id" text primary key, "the key" text);
		grant all on "my schema"."the-users" to service_role;
		alter publication supabase_realtime add table "my schema"."the-users";
		insert into "my schema"."the-users" values ('one', 'key')`)
	c := p.config(p.key(true), &journal{})
	c.Names = rows.Names{Schema: "my schema", Accounts: "the-users", ID: "the id", Key: "the key"}
	d := p.open(c)
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{"key", "other"})); got != "found one, not found" {
		t.Errorf("the answer is %s", got)
	}
	if all, err := d.Accounts().ListAccounts(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the list is %v (%v)", all, err)
	}
	events := hear(t, d)
	events.waitFor(t, "live")
	p.db.Exec(t, `delete from "my schema"."the-users"`)
	events.waitFor(t, "gone one")
}

func closed(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "uuid", standin.Config{})
	p.installAll()
	id := p.add(present)
	d := p.open(p.config(p.key(false), &journal{}))
	d.Close()
	before := p.Requests("")
	if got := verdicts(d.Accounts().Check(t.Context(), []string{id})); got != "unavailable" {
		t.Errorf("an account is %s", got)
	}
	if got := d.Machines().Check(t.Context(), []string{"mch"})[0].Verdict; got != directory.Unavailable {
		t.Errorf("a machine is %v", got)
	}
	if err := d.Accounts().Watch(t.Context(), func(directory.Event) {}); err == nil {
		t.Error("it is watched")
	}
	if n := p.Requests("") - before; n != 0 {
		t.Errorf("it asks %d times", n)
	}
}

func noKeyInURL(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "uuid", standin.Config{})
	p.installAll()
	p.add(machineKey)
	d := p.open(p.config(p.key(false), &journal{}))
	d.Accounts().Lookup(t.Context(), []directory.Key{machineKey, absent})
	if _, err := d.Accounts().ListAccounts(t.Context()); err != nil || d.KeysInURL() {
		t.Errorf("keys are in URLs: %v (%v)", d.KeysInURL(), err)
	}
	for _, u := range p.URLs() {
		plain, _ := url.QueryUnescape(u)
		if strings.Contains(plain, string(machineKey)) || strings.Contains(plain, string(absent)) || strings.HasPrefix(u, "/rest/") && strings.Contains(u, "sb_secret") {
			t.Errorf("a key is in a URL: %s", u)
		}
	}
}

func functionsComeAndGo(t *testing.T, s *pgtest.Server) {
	p := newProject(t, s, "uuid", standin.Config{})
	id := p.add(present)
	j := &journal{}
	d := p.open(p.config(p.key(false), j))
	if !d.KeysInURL() {
		t.Error("functions are called that are not there")
	}
	p.installLookups()
	d.doubt()
	waitUntil(t, "the functions are found", func() bool { return !d.KeysInURL() })
	p.db.Exec(t, `drop function fleetline_accounts_by_key; drop function fleetline_accounts_by_id`)
	waitUntil(t, "the functions are missed", func() bool {
		d.Accounts().Check(t.Context(), []string{id})
		return d.KeysInURL()
	})
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{present})); got != "found "+id {
		t.Errorf("the answer is %s", got)
	}
	if !strings.Contains(j.String(), "keys are in URLs again") {
		t.Errorf("nobody is told: %s", j)
	}
}

func BenchmarkLookup150(b *testing.B) { benchmark(b, 150, false) }

func BenchmarkSweep15000(b *testing.B) { benchmark(b, 15000, true) }

func benchmark(b *testing.B, accounts int, sweep bool) {
	for _, v := range []variant{{"ByURL", "uuid", false, func(*project) {}}, {"ByBody", "uuid", false, (*project).installAll}} {
		b.Run(v.name, func(b *testing.B) {
			p := newProject(b, server(b), v.id, standin.Config{})
			v.install(p)
			p.db.Exec(b, fmt.Sprintf(`insert into "user" (apikey) select 'key ' || n from generate_series(1, %d) n; analyze "user"`, accounts))
			c := p.config(p.key(v.legacy), &journal{})
			c.pace = defaultPace()
			d := p.open(c)
			all, err := d.Accounts().ListAccounts(b.Context())
			if err != nil || len(all) != accounts {
				b.Fatalf("%d accounts (%v)", len(all), err)
			}
			ids, keys := make([]string, accounts), make([]directory.Key, accounts)
			for i, a := range all {
				ids[i], keys[i] = a.ID, directory.Key(fmt.Sprint("key ", i+1))
			}
			before := p.Requests("")
			for b.Loop() {
				answers := d.Accounts().Lookup
				if sweep {
					answers = func(ctx context.Context, _ []directory.Key) []directory.AccountAnswer {
						return d.Accounts().Check(ctx, ids)
					}
				}
				for _, a := range answers(b.Context(), keys) {
					if a.Verdict != directory.Found {
						b.Fatal("an account is missing")
					}
				}
			}
			b.ReportMetric(float64(p.Requests("")-before)/float64(b.N), "requests/op")
		})
	}
}
