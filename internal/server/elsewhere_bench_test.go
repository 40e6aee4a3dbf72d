package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
	"github.com/jackc/pgx/v5"
)

// benchBystanders are online while others are deleted. Beside them an absence can be believed.
const benchBystanders = 700

// BenchmarkDeletionElsewhere measures from the moment the owner's DELETE is sent to the database to the
// goodbye frame at the machine, for each directory with its feed and with the sweep alone:
//
//	go test -run xxx -bench DeletionElsewhere -benchtime 300x ./internal/server
func BenchmarkDeletionElsewhere(b *testing.B) {
	for _, kind := range []string{"Postgres", "Postgres without feed", "Supabase", "Supabase without feed"} {
		b.Run(kind, func(b *testing.B) {
			f := newDoomedFleet(b, kind)
			// Deletions come at random moments of what polls: of Realtime, or of the sweep.
			pause := 20 * time.Millisecond
			if strings.HasPrefix(kind, "Supabase") {
				pause = 700 * time.Millisecond
			}
			if strings.HasSuffix(kind, "without feed") {
				pause = 200 * time.Millisecond
			}
			b.ResetTimer()
			for _, m := range f.doomed {
				m.begun <- time.Now()
				if _, err := f.owner.Exec(b.Context(), `delete from "user" where id::text = $1`, m.id); err != nil {
					b.Fatal(err)
				}
				<-time.After(rand.N(pause))
			}
			f.listening.Wait()
			b.StopTimer()
			f.report(b)
		})
	}
}

type doomedMachine struct {
	id    string         // of its account
	begun chan time.Time // holds when its deletion began
	took  time.Duration
}

type doomedFleet struct {
	owner     *pgx.Conn
	doomed    []*doomedMachine
	listening sync.WaitGroup // for their goodbyes
}

func newDoomedFleet(b *testing.B, kind string) *doomedFleet {
	db := pgtest.Start(b, "wal_level=logical").Database(b)
	db.Exec(b, accountsTable)
	f := &doomedFleet{}
	var err error
	if f.owner, err = pgx.Connect(b.Context(), db.URL); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.owner.Close(context.Background()) })
	config := fleetlinetest.Config{DatabaseURL: db.URL}
	hasFeed := !strings.HasSuffix(kind, "without feed")
	switch {
	case strings.HasPrefix(kind, "Supabase"):
		p := standin.Start(b, db.URL)
		db.Exec(b, `alter publication supabase_realtime add table "user"`)
		if !hasFeed {
			p.Break(standin.Faults{Handshake: 500})
		}
		config = fleetlinetest.Config{SupabaseURL: p.URL, SupabaseKey: p.Keys().Secret}
	case !hasFeed: // as a role that may not install triggers
		db.Exec(b, `create role reader login; grant select on "user" to reader`)
		config.DatabaseURL = strings.Replace(db.URL, "postgres@", "reader@", 1)
	}
	db.Exec(b, fmt.Sprintf(`insert into "user" (apikey) select 'flk_' || n from generate_series(1, %d) n`, b.N+benchBystanders))
	config.Heartbeat = 10 * time.Minute // nobody here answers
	g := fleetlinetest.StartWith(b, config)
	for n := range benchBystanders {
		login(b, g.URL, withHWID(fmt.Sprint("flk_", n+1), "hw"))
	}
	for n := range b.N {
		m := &doomedMachine{id: fmt.Sprint(benchBystanders + n + 1), begun: make(chan time.Time, 1)}
		l, _ := login(b, g.URL, withHWID(fmt.Sprint("flk_", m.id), "hw"))
		f.doomed = append(f.doomed, m)
		f.listening.Go(func() { m.listen(b, l) }) // ends with the connection
	}
	return f
}

func (m *doomedMachine) listen(b *testing.B, l *line) {
	for {
		f, err := l.readIn(b.Context())
		if err != nil {
			b.Errorf("machine of account %s: %v", m.id, err)
			return
		}
		if f.text("type") == "machine_deleted" {
			m.took = time.Since(<-m.begun)
			_ = l.c.CloseNow()
			return
		}
	}
}

func (f *doomedFleet) report(b *testing.B) {
	var took []time.Duration
	for _, m := range f.doomed {
		took = append(took, m.took)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	for name, at := range map[string]int{"p50-ms": len(took) / 2, "p99-ms": len(took) * 99 / 100, "max-ms": len(took) - 1} {
		b.ReportMetric(took[at].Seconds()*1000, name)
	}
}
