package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	tables "github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/directory/supabase"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
)

// fleetSize is a fleet, of which each machine has an account of its own.
const fleetSize = 15_000

// fleetElsewhere is a gateway on the memory engine whose accounts are in the stand-in for Supabase, behind
// the real driver. Its machines are there too, or in memory.
type fleetElsewhere struct {
	b       *testing.B
	g       *Gateway
	engine  *socket.Memory
	project *standin.Project
	peers   []*socket.MemoryPeer
	tokens  []string

	requests map[string]int // of each part, the fewest
}

// BenchmarkFleetElsewhere has 15,000 machines come by key, all at once, sweeps them, and has them come back
// by token, all at once. It reports the time until all are in and the requests that reached the project:
//
//	go test -run xxx -bench FleetElsewhere -benchtime 1x ./internal/gateway
func BenchmarkFleetElsewhere(b *testing.B) {
	for _, kind := range []string{"keys in URLs", "functions installed", "machines in the table"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				f := newFleetElsewhere(b, kind)
				f.measure("cold", func() { f.comeIn(f.byKey) })
				for range 3 { // the least counts: the gateway sweeps by itself, too
					f.measure("sweep", func() { f.g.sweep(b.Context()) })
				}
				if n := f.g.hub.Len(); n != fleetSize {
					b.Fatalf("%d sessions after the sweep", n)
				}
				f.leave()
				f.measure("tokens", func() { f.comeIn(f.byToken) })
				f.leave()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func newFleetElsewhere(b *testing.B, kind string) *fleetElsewhere {
	db := pgtest.Start(b, "wal_level=logical").Database(b)
	db.Exec(b, `create table "user" (id uuid primary key default gen_random_uuid(), apikey text unique)`)
	f := &fleetElsewhere{b: b, project: standin.Start(b, db.URL), peers: make([]*socket.MemoryPeer, fleetSize), tokens: make([]string, fleetSize), requests: map[string]int{}}
	db.Exec(b, `alter publication supabase_realtime add table "user"`)
	if kind != "keys in URLs" {
		db.Exec(b, tables.Names{}.Migration())
	}
	db.Exec(b, fmt.Sprintf(`insert into "user" (apikey) select 'flk_' || n from generate_series(0, %d) n; analyze "user"`, fleetSize-1))
	d, err := supabase.Open(b.Context(), supabase.Config{
		URL: f.project.URL, ServiceKey: directory.Key(f.project.Keys().Secret), Installation: "abcdefgh", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	var machines directory.Machines = machineRows{newRows()}
	if kind == "machines in the table" {
		machines = d.Machines()
	}
	f.start(d.Accounts(), machines)
	return f
}

func (f *fleetElsewhere) start(accounts directory.Accounts, machines directory.Machines) {
	tokens, err := token.New(token.Config{Secret: token.Secret(secret), Installation: "test"})
	if err != nil {
		f.b.Fatal(err)
	}
	journal := &quietLog{entries: make(chan *broker.Entry)}
	f.g, err = New(Config{
		Log: journal, Revocations: &ledger{}, Reader: journal, Accounts: accounts, Machines: machines,
		Tokens: tokens, Logger: slog.New(slog.DiscardHandler),
		NewEngine: func(h socket.Handler) (socket.Engine, error) {
			f.engine = socket.NewMemory(socket.Config{Handler: h})
			return f.engine, nil
		},
	})
	if err != nil {
		f.b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- f.g.Run(ctx, func() { close(ready) }) }() // the cleanup ends it and waits
	f.b.Cleanup(func() {
		stop()
		<-done
	})
	<-ready
}

// measure takes how long a part takes and how many requests reach the project meanwhile, but those of
// news of machines, which nobody waits for. Of several times, the one with the fewest counts.
func (f *fleetElsewhere) measure(what string, part func()) {
	asked := func() int { return f.project.Requests("") - f.project.Requests("POST /rest/v1/rpc/fleetline_seen") }
	before, begin := asked(), time.Now()
	part()
	took, requests := time.Since(begin), asked()-before
	if least, known := f.requests[what]; known && least <= requests {
		return
	}
	f.requests[what] = requests
	f.b.ReportMetric(took.Seconds()*1000, what+"-ms")
	f.b.ReportMetric(float64(requests), what+"-requests")
}

func (f *fleetElsewhere) byKey(i int) string { return authV1(fmt.Sprint("flk_", i), "hw") }

func (f *fleetElsewhere) byToken(i int) string {
	return fmt.Sprintf(`{"type":"auth","v":1,"sessionToken":%q}`, f.tokens[i])
}

// comeIn has every machine come at once. Whoever is told to come back does so at once, too.
func (f *fleetElsewhere) comeIn(auth func(i int) string) {
	var coming sync.WaitGroup
	for i := range f.peers {
		coming.Go(func() { // ends when it is in
			for !f.knock(i, auth(i)) {
			}
		})
	}
	coming.Wait()
}

func (f *fleetElsewhere) knock(i int, auth string) bool {
	p := f.engine.Dial(socket.Peer{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	_ = p.WriteText([]byte(auth))
	b, err := p.Read(f.b.Context())
	var hello struct{ Type, SessionToken string }
	switch {
	case f.b.Context().Err() != nil:
		return true
	case err != nil || json.Unmarshal(b, &hello) != nil:
		return false
	case hello.Type == "auth_success":
		f.peers[i], f.tokens[i] = p, hello.SessionToken
		return true
	case strings.Contains(string(b), "directory_unavailable"):
		return false
	}
	f.b.Errorf("machine %d was answered with %s", i, b)
	return true
}

func (f *fleetElsewhere) leave() {
	for _, p := range f.peers {
		p.Drop()
	}
	for f.g.hub.Len() > 0 { // until the engine has told the gateway; the benchmark's timeout bounds this
		time.Sleep(time.Millisecond)
	}
}
