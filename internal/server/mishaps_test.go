package server_test

import (
	"context"
	"fmt"
	"time"
)

// mishap is one thing that may happen, and how often beside the others.
type mishap struct {
	weight int
	name   string
	happen func(*world)
}

var mishaps = []mishap{
	{30, "a machine comes", func(w *world) { w.connect(pick(w, w.units)) }},
	{12, "a machine of a present account comes", func(w *world) { w.connect(w.someone()) }},
	{8, "a new machine comes", func(w *world) { w.connect(w.enlist(w.present(), fmt.Sprint("hw", len(w.units)))) }},
	{2, "a default machine comes", func(w *world) { w.connect(w.enlist(w.present(), "")) }},
	{8, "a machine drops", (*world).drop},
	{6, "an account is inserted", func(w *world) { w.connect(w.enlist(w.insert(), "hw")) }},
	{6, "an account is deleted", (*world).deleteSome},
	{2, "an account is deleted and inserted in one transaction", (*world).replace},
	{5, "a key is rotated", (*world).rotate},
	{5, "a machine is deleted", (*world).deleteMachine},
	{4, "changes stop to flow", (*world).loseFeed},
	{3, "changes flow again", (*world).healFeed},
	{1, "the directory goes away", (*world).goDown},
	{4, "the directory comes back", (*world).comeUp},
	{3, "all rows are gone", (*world).empty},
	{6, "all rows are back", (*world).refill},
	{1, "the gateway restarts", func(w *world) { w.restart(false) }},
	{1, "the gateway is killed", func(w *world) { w.restart(true) }},
}

func pick[T any](w *world, list []T) T { return list[w.rand.IntN(len(list))] }

func (w *world) step() {
	all := 0
	for _, m := range mishaps {
		all += m.weight
	}
	n := w.rand.IntN(all)
	for _, m := range mishaps {
		if n -= m.weight; n < 0 {
			w.t.Logf("%s %s", clock(time.Now()), m.name)
			m.happen(w)
			return
		}
	}
}

// present is an account whose row is there.
func (w *world) present() *owner { return pick(w, w.presentOwners()) }

func (w *world) presentOwners() (list []*owner) {
	w.set(func() {
		for _, o := range w.owners {
			if !o.begun {
				list = append(list, o)
			}
		}
	})
	return list
}

// someone is a machine that nobody deleted.
func (w *world) someone() *unit {
	var list []*unit
	w.set(func() {
		for _, u := range w.units {
			if !u.begun && !u.owner.begun {
				list = append(list, u)
			}
		}
	})
	return pick(w, list)
}

func (w *world) drop() {
	w.set(func() {
		u := pick(w, w.units)
		if u.link != nil {
			_ = u.link.c.CloseNow()
		}
	})
}

func (w *world) newKey() string {
	return fmt.Sprintf(`key "%d",%%(\ %d`, len(w.owners), w.rand.Uint64())
}

func (w *world) insert() *owner {
	o := &owner{key: w.newKey()}
	table := `"user"`
	if w.isAway {
		table = "away" // where the rows wait
	}
	err := w.owner.QueryRow(context.Background(), `insert into `+table+` (id, apikey) values (nextval('user_id_seq'), $1) returning id::text`, o.key).Scan(&o.id)
	if err != nil {
		w.t.Fatal(err)
	}
	w.set(func() { w.owners = append(w.owners, o) })
	return o
}

func (w *world) deleteSome() {
	if len(w.presentOwners()) <= ownersLeast || w.isAway {
		return
	}
	w.delete(w.present())
}

func (w *world) delete(o *owner) {
	w.set(func() { o.begun = true })
	w.sql(`delete from "user" where id::text = $1`, o.id)
	w.set(func() { o.done = time.Now() })
	w.t.Logf("account %s is deleted", o.id)
}

// replace is what an import does. Nobody was deleted.
func (w *world) replace() {
	if w.isAway {
		return
	}
	o := w.present()
	w.t.Logf("account %s is replaced", o.id)
	w.replaced = time.Now()
	w.sql(`do $$ declare k text; begin
		delete from "user" where id = ` + o.id + ` returning apikey into k;
		insert into "user" (id, apikey) values (` + o.id + `, k);
	end $$`)
}

func (w *world) rotate() {
	if w.isAway {
		return
	}
	o, key := w.present(), w.newKey()
	w.set(func() { o.key = "" })
	w.sql(`update "user" set apikey = $2 where id::text = $1`, o.id, key)
	w.set(func() { o.key = key })
}

// deleteMachine deletes one through the gateway or, where it is a row, in the database.
func (w *world) deleteMachine() {
	u := w.someone()
	var id string
	w.set(func() {
		if u.isOnline || !u.busy {
			id = u.id
		}
		if u.begun = id != ""; !u.begun {
			return
		}
		if u.under = u.owner.key; !w.hasMachines {
			u.under = u.key // the gateway knows no other, for the accounts are elsewhere
		}
	})
	if id == "" {
		return
	}
	var err error
	if w.hasMachines && !w.isAway && w.rand.IntN(2) == 0 {
		w.sql(`delete from machines where id = $1`, id)
	} else {
		err = w.API.DeleteMachine(context.Background(), id)
	}
	w.set(func() {
		if err == nil {
			u.done = time.Now()
		}
	})
	w.t.Logf("machine %s of account %s is deleted: %v", id, u.owner.id, err)
}

// loseFeed has changes get lost for a while, or cuts the line they come by.
func (w *world) loseFeed() {
	if w.project == nil {
		if w.rand.IntN(2) == 0 {
			w.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen %'`)
		} else {
			w.sql(`alter table "user" disable trigger user`)
		}
		return
	}
	switch w.rand.IntN(6) {
	case 0:
		w.project.Drop()
	case 1:
		w.project.Crash()
	case 2:
		w.project.RestartRealtime()
	case 3:
		w.project.RepeatSystemOK()
	case 4:
		w.faults.Mute = true
	default:
		w.faults.Lose = 3
	}
	w.project.Break(w.faults)
}

func (w *world) healFeed() {
	if w.project == nil {
		return // the gateway sees to its triggers itself
	}
	w.faults.Mute, w.faults.Lose = false, 0
	w.project.Break(w.faults)
}

// goDown makes the directory unavailable to the gateway. Its owner goes on working in it.
func (w *world) goDown() {
	if w.isDown {
		return
	}
	w.set(func() { w.isDown = true })
	if w.project == nil {
		w.server.Exec(w.t, "alter database "+w.database.Name+" allow_connections false")
		w.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
		return
	}
	if w.isRefusing = w.rand.IntN(2) == 0; w.isRefusing {
		w.outage(true)
		return
	}
	w.faults.Status = pick(w, []int{500, 503, 520, 540})
	w.project.Break(w.faults)
}

func (w *world) outage(on bool) {
	if err := w.project.Outage(on); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) comeUp() {
	if !w.isDown {
		return
	}
	switch {
	case w.project == nil:
		w.server.Exec(w.t, "alter database "+w.database.Name+" allow_connections true")
	case w.isRefusing:
		w.outage(false)
	default:
		w.faults.Status = 0
		w.project.Break(w.faults)
	}
	w.set(func() { w.isDown, w.since = false, time.Now() })
}

// check holds the gateway's own list against what is true.
func (w *world) check() {
	w.t.Helper()
	hub := w.Server().Gateway().Hub()
	accounts, machines := w.late()
	for _, id := range accounts {
		if n := len(hub.OfAccount(id)); n > 0 {
			w.t.Errorf("%s account %s is deleted for long and has %d sessions", clock(time.Now()), id, n)
		}
	}
	for _, id := range machines {
		if n := len(hub.OfMachine(id)); n > 0 {
			w.t.Errorf("%s machine %s is deleted for long and has %d sessions", clock(time.Now()), id, n)
		}
	}
}
