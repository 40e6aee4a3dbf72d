package rows_test

import (
	"fmt"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

// The function that Supabase's driver calls: 500 keys among 100,000 rows, by an index.
func BenchmarkAccountsByKey(b *testing.B) {
	d := migrated(b, "uuid")
	d.Exec(b, `insert into "user" select gen_random_uuid(), 'flk_' || n from generate_series(1, 100000) n; analyze "user"`)
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = fmt.Sprint("flk_", i*197+1)
	}
	for b.Loop() {
		if n := pgtest.Get[int](b, d, `select count(*) from fleetline_accounts_by_key($1::text[])`, keys); n != len(keys) {
			b.Fatal(n)
		}
	}
}

func BenchmarkEnrol500(b *testing.B) {
	d := migrated(b, "bigint")
	m := newMachines(b, d)
	d.Exec(b, `insert into "user" values (1, 'key')`)
	es := make([]directory.Enrolment, 500)
	for n := 0; b.Loop(); n++ {
		for i := range es {
			es[i] = enrolment("1", "key", fmt.Sprint(n, "-", i))
		}
		if m.Enrol(b.Context(), es)[499].Verdict != directory.Found {
			b.Fatal("not enrolled")
		}
	}
}

func BenchmarkCheck10000Machines(b *testing.B) {
	d := migrated(b, "bigint")
	m := newMachines(b, d)
	d.Exec(b, `insert into "user" values (1, 'key');
		insert into machines (id, account_id, hwid, key_digest) select 'mch_abcdefgh_' || n, 1, n, 'd' from generate_series(1, 10000) n; analyze machines`)
	ids := make([]string, 10000)
	for i := range ids {
		ids[i] = fmt.Sprint("mch_abcdefgh_", i+1)
	}
	for b.Loop() {
		if m.Check(b.Context(), ids)[9999].Verdict != directory.Found {
			b.Fatal("not found")
		}
	}
}
