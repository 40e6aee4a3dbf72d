package supabase

import (
	"os"
	"regexp"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// Whoever pastes what the documentation says, from the top, ends with a project that nothing is wrong with.
func TestTheSQLOfTheDocumentationMakesAProjectThatWorks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/supabase.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := sqlBlock.FindAllSubmatch(page, -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks of SQL, want 3: the table, the publication, an account", len(blocks))
	}
	db := server(t).Database(t)
	p := &project{Project: standin.Start(t, db.URL), db: db, t: t}
	c := p.config(p.Keys().Secret, &journal{})
	for _, b := range blocks {
		db.Exec(t, string(b[1]))
	}
	for _, migration := range []string{"", rows.Names{}.Migration()} {
		if migration != "" {
			db.Exec(t, migration)
		}
		for _, f := range Diagnose(t.Context(), c) {
			if f.Level == directory.Fail || f.Level == directory.Warn && migration != "" {
				t.Errorf("%s: %s", f.Topic, f.Text)
			}
		}
	}
}
