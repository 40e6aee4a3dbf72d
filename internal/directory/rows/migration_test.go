package rows_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

const shipped = "../../../docs/sql/fleetline_machines.sql"

func TestTheShippedMigrationIsTheDefaultOne(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != (rows.Names{}).Migration() {
		t.Errorf("%s is not what Migration returns: write it anew", shipped)
	}
}

func TestTheMigrationRunsInPsqlAndAgainForEveryTypeOfID(t *testing.T) {
	for _, idType := range []string{"uuid", "bigint", "text", "integer", "varchar(40)", "char(20)"} {
		d := newDatabase(t, idType)
		for range 2 {
			out, err := exec.CommandContext(t.Context(), pgtest.Binary(t, "psql"), d.URL, "-X", "-v", "ON_ERROR_STOP=1", "-f", shipped).CombinedOutput()
			if err != nil {
				t.Fatalf("ids of type %s: %v\n%s", idType, err, out)
			}
			if strings.Contains(string(out), "WARNING") {
				t.Errorf("ids of type %s: %s", idType, out)
			}
		}
		const typeOf = `select format_type(atttypid, atttypmod) from pg_attribute where attrelid = $1::text::regclass and attname = $2::text`
		if theirs, ours := pgtest.Get[string](t, d, typeOf, `public."user"`, "id"), pgtest.Get[string](t, d, typeOf, "public.machines", "account_id"); ours != theirs {
			t.Errorf("ids of type %s are of type %s in machines", theirs, ours)
		}
		if err := newMachines(t, d).Installed(t.Context()); err != nil {
			t.Errorf("ids of type %s: %v", idType, err)
		}
	}
}

func TestNamesThatCannotBeOnesAreRefused(t *testing.T) {
	if err := (rows.Names{}).Check(); err != nil {
		t.Error(err)
	}
	if err := (rows.Names{Schema: "Größe", Accounts: `a "b" 'c'\`, ID: "select", Key: "API key", Machines: "Machines"}).Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []rows.Names{
		{Schema: strings.Repeat("ü", 32)}, {Accounts: " "}, {ID: "a\nb"}, {Key: "a\x00"}, {Machines: "$$"}, {ID: "x", Key: "x"},
		{Accounts: "machines"}, {Machines: rows.Deletions}, {Key: "\xff"},
	} {
		if bad.Check() == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestTheMigrationWorksUnderOtherNames(t *testing.T) {
	d := pgtest.Shared(t).Database(t)
	n := rows.Names{Schema: "Größe", Accounts: `a "b" 'c'\`, ID: "select", Key: "API key", Machines: "Machines"}
	q := rows.Quote
	d.Exec(t, `create schema `+q(n.Schema)+`; create table `+n.Table(n.Accounts)+` (`+q(n.ID)+` uuid primary key, `+q(n.Key)+` text)`)
	for range 2 {
		d.Exec(t, n.Migration())
		d.Exec(t, n.Feed())
	}
	if !pgtest.Get[bool](t, d, `select is_ready from (`+n.FeedState()+`) f (channel, is_ready)`) {
		t.Error("the triggers are not ready")
	}
	d.Exec(t, `alter table `+n.Table(n.Accounts)+` disable trigger user`)
	if pgtest.Get[bool](t, d, `select is_ready from (`+n.FeedState()+`) f (channel, is_ready)`) {
		t.Error("triggers that do not fire are ready")
	}
}

func TestAnOwnersOtherTableOfMachinesIsLeftAlone(t *testing.T) {
	d := newDatabase(t, "bigint")
	d.Exec(t, `create table machines (id bigint, make text)`)
	out, err := exec.CommandContext(t.Context(), pgtest.Binary(t, "psql"), d.URL, "-X", "-v", "ON_ERROR_STOP=1", "-f", shipped).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not Fleetline's") {
		t.Errorf("%v: %s", err, out)
	}
	if n := pgtest.Get[int](t, d, `select count(*) from pg_proc where starts_with(proname, 'fleetline_')`); n != 0 {
		t.Errorf("%d functions were made all the same", n)
	}
}

func TestOnSupabaseNobodyButTheServiceRoleMayAndMachinesAreNotPublished(t *testing.T) {
	d := newDatabase(t, "uuid")
	d.Exec(t, `do $$ begin create role anon; create role authenticated; create role service_role bypassrls; exception when duplicate_object then null; end $$;
		grant usage on schema public to anon, authenticated, service_role;
		alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
		alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
		create publication supabase_realtime`)
	for range 2 {
		d.Exec(t, rows.Names{}.Migration())
	}
	published := pgtest.Get[string](t, d, `select string_agg(tablename, ' ' order by tablename) from pg_publication_tables`)
	if published != "fleetline_deletions user" {
		t.Errorf("published are %s", published)
	}
	if n := pgtest.Get[int](t, d, `select count(*) from pg_proc p, unnest(array['anon', 'authenticated']) r
		where starts_with(proname, 'fleetline_') and has_function_privilege(r, p.oid, 'execute')`); n != 0 {
		t.Errorf("strangers may call %d functions", n)
	}
	d.Exec(t, `insert into "user" values (gen_random_uuid(), 'key')`)
	account := pgtest.Get[string](t, d, `select id::text from "user"`)
	id := enrolled(t, newMachines(t, d), enrolment(account, "key", "h"))
	d.Exec(t, `set role service_role;
		do $$ begin assert (select count(*) from fleetline_accounts_by_key(array['key', 'no'])) = 1, 'keys';
		assert fleetline_machines_by_id('{"ids":["`+id+`"]}') #>> '{0,verdict}' = 'found', 'machines';
		assert fleetline_delete_machine('{"id":"`+id+`"}') ->> 'verdict' = 'deleted', 'deletion'; end $$`)
	d.Exec(t, `set role anon; do $$ begin assert (select count(*) from machines) = 0, 'machines'; end $$`)
}

func TestAccountsAreFoundByKeyAndByIDOfEveryType(t *testing.T) {
	const uuid = "9f0c4c38-6d7c-4e6f-9d3d-0d3f0c5c9b11"
	for _, x := range []struct{ idType, keyType, id, key string }{
		{"uuid", "text", uuid, `,"()\ %&+`}, {"bigint", "varchar(80)", "9007199254740993", "K€y-鍵-🔑"}, {"text", "char(80)", "a.b *", "key"}, {"text", "uuid", "'", uuid},
	} {
		d := newDatabase(t, x.idType)
		d.Exec(t, `alter table "user" alter apikey type `+x.keyType+` using apikey::`+x.keyType)
		d.Exec(t, rows.Names{}.Migration())
		d.Exec(t, `insert into "user" select i::`+x.idType+`, k::`+x.keyType+` from (select $1::text, $2::text) v (i, k)`, x.id, x.key)
		for _, f := range []struct{ function, asked string }{{rows.AccountsByKey, x.key}, {rows.AccountsByID, x.id}} {
			asked := []string{"unknown", strings.ToUpper(f.asked + "x"), "", f.asked, "1e3"}
			got := pgtest.Get[string](t, d, `select string_agg(id || ' ' || apikey, '|') from `+f.function+`($1::text[])`, asked)
			if got != x.id+" "+x.key {
				t.Errorf("%s with ids of type %s and keys of type %s: %q", f.function, x.idType, x.keyType, got)
			}
		}
	}
}
