package supabase

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

// levels are what was found, by topic.
func levels(findings []directory.Finding) map[string]directory.Finding {
	byTopic := make(map[string]directory.Finding)
	for _, f := range findings {
		byTopic[f.Topic] = f
	}
	return byTopic
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	s := server(t)
	for name, x := range map[string]struct {
		bend  func(*project, *Config)
		topic string
		level directory.Level
		text  string
		sql   string
	}{
		"InURLs":    {func(*project, *Config) {}, "functions", directory.Warn, "readable in the project's own API logs", "fleetline_accounts_by_key"},
		"InBodies":  {func(p *project, _ *Config) { p.installAll() }, "functions", directory.OK, "in the body of a POST", ""},
		"Machines":  {func(p *project, _ *Config) { p.installAll() }, "machines", directory.OK, "public.machines", ""},
		"NoMachine": {func(*project, *Config) {}, "machines", directory.Warn, "keeps no machines", "create table"},
		"Live":      {func(p *project, _ *Config) { p.installAll() }, "realtime", directory.OK, "as they happen", ""},
		"NotPublished": {func(p *project, _ *Config) { p.db.Exec(p.t, `alter publication supabase_realtime drop table "user"`) },
			"realtime", directory.Fail, "is it in the publication", `alter publication supabase_realtime add table "public"."user";`},
		"Filter": {func(*project, *Config) {}, "filter", directory.OK, "a random key finds nothing", ""},
		"Twins": {func(p *project, _ *Config) {
			p.db.Exec(p.t, `alter table "user" drop constraint user_apikey_key; insert into "user" (apikey) values ('twin'), ('twin')`)
		}, "keys", directory.Fail, "have the same key", `add unique ("apikey")`},
		"NoTable":     {func(_ *project, c *Config) { c.Names.Accounts = "users" }, "table", directory.Fail, "there is no table public.users", ""},
		"Publishable": {func(p *project, c *Config) { c.ServiceKey = directory.Key(p.Keys().Publishable) }, "key", directory.Fail, "publishable", ""},
		"Replica":     {func(_ *project, c *Config) { c.URL = "https://abc-rr-eu-west-1-xyz.supabase.co" }, "url", directory.Fail, "read replica", ""},
		"Paused":      {func(p *project, _ *Config) { p.Break(standin.Faults{Status: 540}) }, "table", directory.Fail, "the project is paused", ""},
		"Space": {func(p *project, c *Config) {
			p.db.Exec(p.t, `alter table "user" rename to "the users"`)
			c.Names.Accounts = "the users"
		}, "realtime", directory.Warn, "a space in their name", ""},
		"Clock":      {func(*project, *Config) {}, "clock", directory.OK, "agree", ""},
		"NotYetHere": {func(_ *project, c *Config) { c.Installation = "" }, "realtime", directory.OK, "as they happen", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, s, "bigint", standin.Config{})
			p.add(present)
			j := &journal{}
			c := p.config(p.Keys().Secret, j)
			x.bend(p, &c)
			all := Diagnose(t.Context(), c)
			got := levels(all)[x.topic]
			if got.Level != x.level || !strings.Contains(got.Text, x.text) || !strings.Contains(got.SQL, x.sql) {
				t.Errorf("%s is %v %q (%s), all are %v", x.topic, got.Level, got.Text, got.SQL, all)
			}
			if got.Level != directory.OK && got.Hint == "" && got.SQL == "" && x.topic != "table" {
				t.Errorf("nobody is told what to do about: %s", got.Text)
			}
			for _, k := range []string{p.Keys().Secret, p.Keys().Publishable, string(present), "twin"} {
				if strings.Contains(fmt.Sprint(all)+j.String(), k) {
					t.Errorf("a key shows: %v", all)
				}
			}
		})
	}
}
