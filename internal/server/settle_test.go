package server_test

import (
	"time"

	"github.com/fleetline/fleetline/internal/server"
)

// empty has all rows vanish, without anybody having deleted an account, and a stranger in their place:
// another project's table. It does not come while the report of a deletion that was none may be on its
// way: a report and a read that misses the row are proof, whatever else the read misses.
func (w *world) empty() {
	if w.isAway || time.Since(w.replaced) < 3*time.Second {
		return
	}
	w.set(func() { w.isAway = true })
	machines, away := "", ""
	if w.hasMachines { // whose triggers would say that each of them was deleted
		machines, away = `, machines`, `alter table machines disable trigger user; create table away_machines as table machines;`
	}
	w.sql(`do $$ begin
		lock table "user"` + machines + `;
		` + away + `
		create table away as table "user";
		truncate "user" cascade;
		insert into "user" (id, apikey) values (777777, 'a stranger');
	end $$`)
}

func (w *world) refill() {
	if !w.isAway {
		return
	}
	back := ""
	if w.hasMachines {
		back = `insert into machines select * from away_machines; alter table machines enable trigger user; drop table away_machines;`
	}
	w.sql(`do $$ begin
		delete from "user" where id = 777777;
		insert into "user" select * from away;
		drop table away;
		` + back + `
	end $$`)
	w.set(func() { w.isAway, w.back = false, time.Now() })
}

// settle ends all mishaps. Whoever is there gets in again; what was deleted has no session and gets none.
func (w *world) settle() {
	w.refill()
	w.comeUp()
	w.healFeed()
	deadline := time.Now().Add(2*bound + patience)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for ; ; <-again.C {
		w.check()
		out := w.offline(w.Server())
		if len(out) == 0 && w.isSettled() || w.t.Failed() {
			break
		}
		if time.Now().After(deadline) {
			w.t.Errorf("%d machines that are there do not get in", len(out))
			break
		}
		for _, u := range out {
			w.connect(u)
		}
	}
	w.deleteLast()
}

// deleteLast deletes one more account, now that all is well: its machine is told. So every run has
// machines that are, whatever its schedule was.
func (w *world) deleteLast() {
	if w.t.Failed() {
		return
	}
	u := w.someone()
	w.delete(u.owner)
	isTold := func() (told bool) {
		w.set(func() { told = !u.told.IsZero() })
		return told
	}
	deadline := time.Now().Add(bound + patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !isTold() {
		if <-again.C; time.Now().After(deadline) {
			w.t.Errorf("a machine of the deleted account %s is not told", u.owner.id)
			return
		}
	}
}

// isSettled tells whether the bound is over for everything that was deleted.
func (w *world) isSettled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.since
	for _, o := range w.owners {
		if o.done.After(last) {
			last = o.done
		}
	}
	return time.Since(last) > bound+time.Second
}

// offline are the machines that are there and not online.
func (w *world) offline(s *server.Server) (list []*unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.units {
		if !u.begun && !u.owner.begun && (u.id == "" || s.Gateway().Hub().Count(u.id) == 0) {
			list = append(list, u)
		}
	}
	return list
}
