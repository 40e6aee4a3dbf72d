package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5/pgxpool"
)

// patienceOfTests is how long something may take before it counts as missing.
const patienceOfTests = 30 * time.Second

// recorder keeps all that a watch reports.
type recorder struct {
	mu   sync.Mutex
	list []directory.Event
	more chan struct{}
}

func record(t testing.TB, watch func(context.Context, func(directory.Event)) error) *recorder {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &recorder{more: make(chan struct{}, 1)}
	var work sync.WaitGroup
	work.Go(func() { // ends with ctx
		_ = watch(ctx, func(e directory.Event) {
			r.mu.Lock()
			r.list = append(r.list, e)
			r.mu.Unlock()
			select {
			case r.more <- struct{}{}:
			default:
			}
		})
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return r
}

func (r *recorder) events() []directory.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// await waits until all events together are as wanted.
func (r *recorder) await(t testing.TB, what string, is func([]directory.Event) bool) {
	t.Helper()
	isNow := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return is(r.list)
	}
	timeout := time.After(patienceOfTests)
	for !isNow() {
		select {
		case <-r.more:
		case <-timeout:
			list := r.events()
			t.Fatalf("waited in vain for %s: %d events, the last of them %v", what, len(list), list[max(0, len(list)-5):])
		}
	}
}

func (r *recorder) expect(t testing.TB, want directory.Event) {
	t.Helper()
	r.await(t, fmt.Sprint(want), func(list []directory.Event) bool { return slices.Contains(list, want) })
}

// expectLives waits until changes have begun to flow so many times.
func (r *recorder) expectLives(t testing.TB, n int) {
	t.Helper()
	r.await(t, fmt.Sprint(n, " times Live"), func(list []directory.Event) bool {
		lives := 0
		for _, e := range list {
			if e.Kind == directory.Live {
				lives++
			}
		}
		return lives >= n
	})
}

// reason is the latest of those for which changes do not flow.
func (r *recorder) reason() string {
	reason := ""
	for _, e := range r.events() {
		if e.Kind == directory.Lost {
			reason = e.Err.Error()
		}
	}
	return reason
}

func TestEveryWayToDeleteIsReported(t *testing.T) {
	w := newWorld(t, "bigint").migrate()
	d := w.open()
	accounts, machines := record(t, d.Accounts().Watch), record(t, d.Machines().Watch)
	enrol := func(account string) string {
		t.Helper()
		e := directory.Enrolment{AccountID: account, Info: &directory.MachineInfo{HWID: "h"}}
		return d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0].Machine.ID
	}
	w.do(`insert into "user" select n, 'key ' || n from generate_series(1, 9) n`)
	gone := func(id string) directory.Event { return directory.Event{Kind: directory.Gone, ID: id} }

	byCascade, bySQL, byUs, inReplica, byTruncate := enrol("1"), enrol("2"), enrol("3"), enrol("4"), enrol("5")
	w.do(`delete from "user" where id = 1`)
	accounts.expect(t, gone("1"))
	machines.expect(t, gone(byCascade))
	w.do(`delete from machines where id = $1`, bySQL)
	machines.expect(t, gone(bySQL))
	if err := d.Machines().Delete(t.Context(), byUs); err != nil {
		t.Fatal(err)
	}
	machines.expect(t, directory.Event{Kind: directory.Gone, ID: byUs, Asked: true})
	w.do(`set session_replication_role = replica`)
	w.do(`delete from "user" where id = 4`)
	w.do(`delete from machines where id = $1`, inReplica)
	w.do(`set session_replication_role = origin`)
	accounts.expect(t, gone("4"))
	machines.expect(t, gone(inReplica))
	w.do(`update "user" set id = 60 where id = 6`)
	accounts.expect(t, gone("6"))
	accounts.expect(t, directory.Event{Kind: directory.Changed, ID: "60"})
	w.do(`truncate "user" cascade`)
	accounts.expectLives(t, 2)
	machines.expectLives(t, 2)
	for _, id := range []string{byCascade, bySQL, byUs, inReplica, byTruncate} {
		if v := d.Machines().Check(t.Context(), []string{id})[0].Verdict; v != directory.Deleted {
			t.Errorf("deleted machine %s is %v", id, v)
		}
	}
}

func TestAnIDTooLongForAMessageHasEverythingCompared(t *testing.T) {
	w := newWorld(t, "text")
	w.do(`alter table "user" drop constraint user_pkey`)
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	w.do(`insert into "user" values ($1, 'key')`, strings.Repeat("i", 8000))
	w.do(`delete from "user"`)
	accounts.expectLives(t, 2)
}

func TestWhatDoesNotConcernTheKeyIsNotReported(t *testing.T) {
	w := newWorld(t, "text")
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	w.do(`alter table "user" add nickname text`)
	id, last := w.add("key"), w.add("last")
	w.do(`update "user" set nickname = 'n'`)
	w.delete(last)
	accounts.expect(t, directory.Event{Kind: directory.Gone, ID: last})
	if list := accounts.events(); slices.ContainsFunc(list, func(e directory.Event) bool { return e.ID == id }) {
		t.Errorf("another column's change was reported: %v", list)
	}
}

func TestTwoInstallationsInOneDatabaseDoNotHearEachOther(t *testing.T) {
	one := newWorld(t, "bigint")
	two := newWorldIn(t, one.Database, "second", "bigint")
	d := one.open()
	two.open()
	accounts := record(t, d.Accounts().Watch)
	for _, w := range []*world{two, one} {
		w.do(`insert into "user" values ($1, 'key')`, len(w.names.Schema))
		w.delete(fmt.Sprint(len(w.names.Schema)))
	}
	accounts.expect(t, directory.Event{Kind: directory.Gone, ID: fmt.Sprint(len("public"))})
	if list := accounts.events(); len(list) != 2 {
		t.Errorf("heard %v", list)
	}
}

func TestAKilledListenerIsLostAndComesBackAndNothingIsMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "text")
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	accounts.expectLives(t, 1)
	id := w.add("key")
	w.do("begin")
	w.killAll()
	w.delete(id)
	w.do("commit")
	accounts.expectLives(t, 2)
	expectContains(t, accounts.reason(), "PostgreSQL")
	if v := d.Accounts().Check(t.Context(), []string{id})[0].Verdict; v != directory.NotFound {
		t.Errorf("after Live the account that was deleted meanwhile is %v", v)
	}
	id = w.add("another")
	w.delete(id)
	accounts.expect(t, directory.Event{Kind: directory.Gone, ID: id})
}

func TestAServerThatStopsIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	w := newWorldIn(t, s.Database(t), "public", "text").migrate()
	d := w.open()
	accounts := record(t, d.Accounts().Watch)
	id := w.add("key")
	e := directory.Enrolment{AccountID: id, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: "h"}}
	machine := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0].Machine.ID
	s.Stop(t)
	if v := d.Accounts().Lookup(t.Context(), []directory.Key{"key"})[0].Verdict; v != directory.Unavailable {
		t.Errorf("while the server is stopped the account is %v", v)
	}
	if v := d.Machines().Check(t.Context(), []string{machine})[0].Verdict; v != directory.Unavailable {
		t.Errorf("while the server is stopped the machine is %v", v)
	}
	accounts.await(t, "Lost", func(list []directory.Event) bool { return list[len(list)-1].Kind == directory.Lost })
	s.Restart(t)
	accounts.expectLives(t, 2)
	if v := d.Accounts().Lookup(t.Context(), []directory.Key{"key"})[0].Verdict; v != directory.Found {
		t.Errorf("when the server is back the account is %v", v)
	}
	if v := d.Machines().Check(t.Context(), []string{machine})[0].Verdict; v != directory.Found {
		t.Errorf("when the server is back the machine is %v", v)
	}
	if d.Health() != nil {
		t.Errorf("its health is %v", d.Health())
	}
}

func TestAStandbyIsRefused(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	w := newWorldIn(t, s.Database(t), "public", "text").migrate()
	w.add("key")
	standby := s.Standby(t).On(w.Database)
	_, err := Open(t.Context(), Config{URL: URL(standby.URL), Installation: installation, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("it opened")
	}
	expectContains(t, err.Error(), "read only")

	// One that became a standby under open connections: what decides is in the query itself.
	c, err := Config{URL: URL(standby.URL)}.pool()
	if err != nil {
		t.Fatal(err)
	}
	c.ConnConfig.ValidateConnect = nil
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	d, err := assemble(t.Context(), t.Context(), &database{config: Config{Logger: log}, names: w.names.WithDefaults(), pool: pool})
	if err == nil {
		t.Error("a standby was believed", d)
	} else {
		expectContains(t, err.Error(), "replica")
	}
	machines := rows.NewMachines(&database{names: w.names.WithDefaults(), pool: pool}, installation, log)
	if v := machines.Check(t.Context(), []string{"unknown"})[0].Verdict; v != directory.Unavailable {
		t.Errorf("a standby says that a machine is %v", v)
	}
	expectContains(t, w.logs.String(), "replica")
}

func TestAMassDeletionLosesNobody(t *testing.T) {
	const many = 20000
	w := newWorld(t, "bigint").migrate()
	w.do(`insert into "user" select n, 'key ' || n from generate_series(1, $1) n`, many)
	w.do(`insert into machines (id, account_id, hwid, key_digest) select 'mch_abcdefgh_' || n, n, 'h', 'd' from generate_series(1, $1) n`, many)
	d := w.open()
	accounts, machines := record(t, d.Accounts().Watch), record(t, d.Machines().Watch)
	accounts.expectLives(t, 1)
	machines.expectLives(t, 1)
	w.do(`delete from "user"`)
	for _, r := range []*recorder{accounts, machines} {
		r.await(t, "all deletions", func(list []directory.Event) bool { return len(list) == many+1 })
		if r.reason() != "" {
			t.Errorf("changes were lost: %s", r.reason())
		}
	}
}
