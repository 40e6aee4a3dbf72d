// Package supabase_test holds the stand-in for Supabase to the truth: the official client must find it
// to be a Supabase project.
package supabase_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tables = `
	create table "user" (id uuid primary key default gen_random_uuid(), apikey text unique, name text);
	alter table "user" enable row level security;
	create table other (id int primary key);
	create function find(keys text[]) returns table (id text, apikey text) language sql stable
		as 'select u.id::text, u.apikey from "user" u where u.apikey = any(keys)';
	create function total() returns bigint language sql stable as 'select count(*) from "user"';`

func TestTheOfficialClientTakesTheStandInForAProject(t *testing.T) {
	d := pgtest.Start(t, "wal_level=logical").Database(t)
	d.Exec(t, tables)
	p := standin.Start(t, d.URL)
	d.Exec(t, `alter publication supabase_realtime add table "user"`)

	keys, err := json.Marshal(p.Keys())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "client.js", p.URL)
	node.Env = append(os.Environ(), "SUPABASE_KEYS="+string(keys))
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("starting the client (make setup installs what it needs): %v", err)
	}
	isDone := obey(p, out)
	if err := node.Wait(); err != nil || !isDone {
		t.Errorf("the client ended with %v before its end", err)
	}
}

// obey does what the client asks for and tells whether it came to its end.
func obey(p *standin.Project, out io.Reader) (isDone bool) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch lines.Text() {
		case "do drop":
			p.Drop()
		case "done":
			isDone = true
		}
	}
	return isDone
}
