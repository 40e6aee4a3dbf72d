package postgres

import (
	"os"
	"regexp"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

func TestTheSQLOfTheDocumentationMakesADatabaseThatWorks(t *testing.T) {
	page, err := os.ReadFile("../../../docs/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := sqlBlock.FindAllSubmatch(page, -1)
	if len(blocks) != 1 {
		t.Fatalf("the page has %d blocks of SQL, want 1: the table and an account", len(blocks))
	}
	w := &world{Database: pgtest.Shared(t).Database(t), t: t, logs: &logs{}}
	w.Exec(t, string(blocks[0][1]))
	for _, f := range w.diagnose() {
		if f.Level != directory.OK {
			t.Errorf("%s: %s", f.Topic, f.Text)
		}
	}
}
