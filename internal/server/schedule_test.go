package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	seedVariable  = "FLEETLINE_TEST_SEED"
	stepsVariable = "FLEETLINE_TEST_STEPS"
	usualSteps    = 120
	// stepEvery is the pace: fast enough that things happen while others do.
	stepEvery = 70 * time.Millisecond
	// ownersAtFirst are enough to stand beside one that is missing.
	ownersAtFirst, ownersLeast = 20, 14
)

// world is a gateway, its directory, its machines, and what goes wrong with them.
type world struct {
	*truth
	*fleetlinetest.Gateway
	rand     *rand.Rand
	database *pgtest.Database
	server   *pgtest.Server
	project  *standin.Project // nil: Postgres itself
	owner    *pgx.Conn        // the owner's, which no outage concerns
	faults   standin.Faults
	// hasMachines: there is a table of machines.
	hasMachines bool
	isRefusing  bool      // the outage is one of the listener, not of REST alone
	replaced    time.Time // when an account was last deleted and inserted in one transaction

	door     string         // where machines come, also while the gateway is restarted
	machines sync.WaitGroup // their connections
	life     context.Context
	kill     context.CancelFunc
}

func numberFrom(t *testing.T, variable string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestNoScheduleOfMishapsBreaksThePromiseOfDeletion lets hundreds of random things happen to a gateway
// whose accounts are elsewhere, and holds every machine's story against what is true. Another seed and
// more steps: FLEETLINE_TEST_SEED and FLEETLINE_TEST_STEPS.
func TestNoScheduleOfMishapsBreaksThePromiseOfDeletion(t *testing.T) {
	t.Parallel()
	seed := numberFrom(t, seedVariable, rand.Uint64N(1_000_000))
	steps := numberFrom(t, stepsVariable, usualSteps)
	server := pgtest.Start(t, "wal_level=logical")
	for i, kind := range []string{"Postgres", "Postgres with machines", "Supabase", "Supabase with machines"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s=%d %s=%d", seedVariable, seed, stepsVariable, steps)
			w := newScheduledWorld(t, server, kind, rand.New(rand.NewPCG(seed, uint64(i))))
			pace := time.NewTicker(stepEvery)
			defer pace.Stop()
			for range steps {
				w.step()
				w.check()
				if t.Failed() {
					break
				}
				<-pace.C
			}
			w.settle()
			w.set(func() { t.Logf("how connections ended: %v", w.counts) })
		})
	}
}

func newScheduledWorld(t *testing.T, server *pgtest.Server, kind string, r *rand.Rand) *world {
	t.Helper()
	now := time.Now()
	w := &world{truth: &truth{t: t, since: now, back: now.Add(-bound), counts: map[string]int{}}, rand: r, server: server}
	w.database = server.Database(t)
	w.database.Exec(t, accountsTable)
	var err error
	if w.owner, err = pgx.Connect(t.Context(), w.database.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.owner.Close(context.Background()) })
	config := fleetlinetest.Config{DatabaseURL: w.database.URL}
	if strings.HasPrefix(kind, "Supabase") {
		w.project = standin.Start(t, w.database.URL)
		w.sql(`alter publication supabase_realtime add table "user"`)
		config = fleetlinetest.Config{SupabaseURL: w.project.URL, SupabaseKey: w.project.Keys().Secret}
	}
	if w.hasMachines = strings.HasSuffix(kind, "with machines"); w.hasMachines {
		w.database.Exec(t, rows.Names{}.Migration())
	}
	for range ownersAtFirst {
		w.insert()
	}
	w.Gateway = fleetlinetest.StartWith(t, config)
	w.door = w.URL
	w.life, w.kill = context.WithCancel(context.Background())
	t.Cleanup(func() {
		w.kill()
		w.machines.Wait()
	})
	for _, o := range w.owners {
		w.connect(w.enlist(o, "hw"))
	}
	return w
}

// sql runs one statement as the owner. Whoever locks whole tables beside a gateway that writes rows may
// be the one of two that Postgres picks to end a deadlock, and tries again.
func (w *world) sql(sql string, args ...any) {
	w.t.Helper()
	for range 20 {
		_, err := w.owner.Exec(context.Background(), sql, args...)
		if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == "40P01" {
			continue
		}
		if err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
		return
	}
	w.t.Fatalf("%s: a deadlock each time", sql)
}

// enlist makes a machine. An account has one without a hwid.
func (w *world) enlist(o *owner, hwid string) *unit {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.units {
		if u.owner == o && u.hwid == hwid {
			return u
		}
	}
	u := &unit{owner: o, hwid: hwid}
	w.units = append(w.units, u)
	return u
}

// connect has a machine that is not connected come: by token, by key, or by key and machineId.
func (w *world) connect(u *unit) {
	a := w.attempt(u)
	if a == nil {
		return
	}
	w.machines.Go(func() { // ends with the connection, or with life
		how := w.talk(a)
		if how != "" {
			w.ended(a, how)
		}
		w.set(func() { u.busy, u.link, u.isOnline = false, nil, false })
	})
}

// attempt chooses how a machine comes; nil if it is connected.
func (w *world) attempt(u *unit) *attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := u.key
	if key == "" || w.rand.IntN(4) > 0 {
		key = u.owner.key
	}
	if u.busy || key == "" {
		return nil
	}
	u.busy = true
	a := &attempt{unit: u, key: key, auth: frame{"type": "auth", "apiKey": key, "v": 1}}
	if u.hwid != "" {
		a.auth["machine"] = frame{"hwid": u.hwid}
	}
	switch {
	case u.token == "":
	case w.rand.IntN(2) == 0:
		a.auth, a.byToken, a.key = withToken(u.token), true, u.key
	case w.rand.IntN(2) == 0:
		a.auth["machineId"] = u.id
	}
	return a
}

// talk speaks for a machine until its connection ends, and returns how it did; empty: it was never
// there, or went away by itself.
func (w *world) talk(a *attempt) string {
	c, _, err := websocket.Dial(w.life, w.door, nil)
	if err != nil {
		return ""
	}
	defer func() { _ = c.CloseNow() }()
	l := &line{w.t, c}
	w.set(func() { a.unit.link, a.sent = l, time.Now() })
	if l.write(w.life, a.auth) != nil {
		return ""
	}
	last := "nothing"
	for {
		f, err := l.readIn(w.life)
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			return fmt.Sprintf("%s %d", last, closed.Code)
		}
		if err != nil {
			return ""
		}
		switch kind := f.text("type"); kind {
		case "auth_success":
			w.admitted(a, f)
		case "ping", "token":
		default:
			last = kind
		}
	}
}

// restart stops the gateway and starts it again. After a kill its machines were cut off without a word,
// and its log does not know how far it was.
func (w *world) restart(isKill bool) {
	if isKill {
		w.set(func() {
			for _, u := range w.units {
				if u.link != nil {
					_ = u.link.c.CloseNow()
				}
			}
		})
	}
	w.Stop()
	if isKill {
		if err := os.Remove(filepath.Join(w.DataDir, "store", "witness.json")); err != nil {
			w.t.Fatal(err)
		}
	}
	w.Resume()
	w.reset()
}
