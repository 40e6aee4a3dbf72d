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
		if got := pgtest.Get[string](t, d, `select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'machines'::regclass and attname = 'account_id'`); !strings.HasPrefix(got, strings.SplitN(idType, "(", 2)[0]) && got != "character varying(40)" && got != "character(20)" {
			t.Errorf("ids of type %s are of type %s in machines", idType, got)
		}
		if err := newMachines(d).Installed(t.Context()); err != nil {
			t.Errorf("ids of type %s: %v", idType, err)
		}
	}
}
