package postgres

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

func (w *world) diagnose(change ...func(*Config)) map[string]directory.Finding {
	w.t.Helper()
	c := Config{URL: URL(w.URL), Names: w.names, Installation: installation, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	worst := make(map[string]directory.Finding)
	for _, f := range Diagnose(w.t.Context(), c) {
		if was, known := worst[f.Topic]; !known || f.Level > was.Level {
			worst[f.Topic] = f
		}
	}
	return worst
}

func expectFinding(t *testing.T, found map[string]directory.Finding, topic string, level directory.Level, words string) directory.Finding {
	t.Helper()
	f, known := found[topic]
	if !known || f.Level != level || !strings.Contains(f.Text, words) {
		t.Errorf("%s is %v: %q, want %v: %q", topic, f.Level, f.Text, level, words)
	}
	return f
}

func TestDiagnoseFindsNothingWrongWithAGoodDatabase(t *testing.T) {
	w := newWorld(t, "uuid").migrate()
	w.open()
	found := w.diagnose()
	for _, topic := range []string{"database", "clock", "accounts", "permissions", "keys", "triggers", "LISTEN", "machines"} {
		expectFinding(t, found, topic, directory.OK, "")
	}
}

func TestDiagnoseSaysWhatIsWrongAndItsSQLPutsItRight(t *testing.T) {
	t.Parallel()
	w := &world{Database: pgtest.Shared(t).Database(t), t: t, idType: "uuid", logs: &logs{}}
	w.Exec(t, expectFinding(t, w.diagnose(), "accounts", directory.Fail, "no column").SQL)
	w.Exec(t, `alter table "user" drop constraint user_apikey_key; insert into "user" (apikey) values ('a'), ('a')`)
	sql := expectFinding(t, w.diagnose(), "keys", directory.Fail, "1 keys are of more than one account").SQL
	w.Exec(t, `delete from "user"`)
	expectFinding(t, w.diagnose(), "keys", directory.Warn, "nothing keeps")
	w.Exec(t, sql)
	expectFinding(t, w.diagnose(), "keys", directory.OK, "")
	w.Exec(t, expectFinding(t, w.diagnose(), "machines", directory.OK, "no table").SQL)
	expectFinding(t, w.diagnose(), "machines", directory.OK, "as rows")

	role := "patient_" + w.Name
	as := func(c *Config) { c.URL = URL(strings.Replace(w.URL, "postgres@", role+"@", 1)) }
	w.Exec(t, `create role `+role+` login`)
	w.Exec(t, expectFinding(t, w.diagnose(as), "permissions", directory.Fail, "may not read").SQL)
	w.Exec(t, `alter table "user" enable row level security`)
	w.Exec(t, expectFinding(t, w.diagnose(as), "permissions", directory.Fail, "row-level security").SQL)
	expectFinding(t, w.diagnose(as), "permissions", directory.OK, "")
	w.Exec(t, expectFinding(t, w.diagnose(as), "triggers", directory.Warn, "may not install").SQL)
	expectFinding(t, w.diagnose(as), "triggers", directory.OK, "at once")
	expectFinding(t, w.diagnose(as), "machines", directory.Fail, "permission")
}

func TestDiagnoseNamesAPoolerAReplicaAndAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	w := newWorldIn(t, s.Database(t), "public", "text")
	behind := deafen(t, w.URL)
	expectFinding(t, w.diagnose(func(c *Config) { c.URL = URL(behind) }), "LISTEN", directory.Warn, "transaction pooler")
	standby := s.Standby(t).On(w.Database)
	expectFinding(t, w.diagnose(func(c *Config) { c.URL = URL(standby.URL) }), "database", directory.Fail, "replica")
	s.Stop(t)
	found := w.diagnose()
	if f := expectFinding(t, found, "database", directory.Fail, "cannot be reached"); strings.Contains(f.Text, w.Name) {
		t.Errorf("the finding quotes the connection string: %s", f.Text)
	}
	if len(found) != 1 {
		t.Errorf("it went on to %v", found)
	}
	expectFinding(t, w.diagnose(func(c *Config) { c.URL = "postgres://x:secret@:bad" }), "settings", directory.Fail, "cannot be read")
}
