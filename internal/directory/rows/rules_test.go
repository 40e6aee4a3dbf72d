package rows_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"pgregory.net/rapid"
)

// life is a machine as the model remembers it.
type life struct {
	id, hwid string
	deleted  bool
	under    directory.Key
}

// model is one account and all machines it ever had, the oldest first.
type model struct {
	key   directory.Key
	lives []*life
}

func (m *model) find(is func(*life) bool) *life {
	for _, l := range slices.Backward(m.lives) {
		if is(l) {
			return l
		}
	}
	return nil
}

// enrol is what must become of an enrolment: the life that answers it, or nil for a new one.
func (m *model) enrol(id, hwid string, key directory.Key) (*life, string) {
	if known := m.find(func(l *life) bool { return l.id == id }); known != nil {
		switch {
		case known.deleted && known.under == key:
			return known, hwid
		case !known.deleted || hwid == "":
			hwid = known.hwid
		}
	}
	refused := m.find(func(l *life) bool { return l.hwid == hwid && l.deleted && l.under == key })
	living := m.find(func(l *life) bool { return l.hwid == hwid && !l.deleted })
	if refused != nil && (living == nil || hwid == "") {
		return refused, hwid
	}
	return living, hwid
}

func TestEnrolmentFollowsItsRules(t *testing.T) {
	d := migrated(t, "text")
	machines := newMachines(t, d)
	account := 0
	rapid.Check(t, func(rt *rapid.T) {
		account++
		name := fmt.Sprint("account ", account)
		d.Exec(t, `insert into "user" values ($1, $1 || ' one')`, name)
		keys := []directory.Key{directory.Key(name + " one"), directory.Key(name + " two")}
		m := &model{key: keys[0]}
		check := func(what string, err error) {
			if err != nil {
				rt.Fatalf("%s: %v", what, err)
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch step := rapid.IntRange(0, 6).Draw(rt, "step"); {
			case step == 0:
				m.key = rapid.SampledFrom(keys).Draw(rt, "key")
				d.Exec(t, `update "user" set apikey = $2 where id = $1`, name, string(m.key))
			case step <= 2 && len(m.lives) > 0:
				l := rapid.SampledFrom(m.lives).Draw(rt, "deleted")
				check("deleting", machines.Delete(t.Context(), l.id))
				if !l.deleted {
					l.deleted, l.under = true, m.key
				}
			case step == 3 && len(m.lives) > 0:
				l := rapid.SampledFrom(m.lives).Draw(rt, "readmitted")
				other := m.find(func(o *life) bool { return o != l && o.hwid == l.hwid && !o.deleted })
				if err := machines.Readmit(t.Context(), l.id); (err == nil) != (other == nil || !l.deleted) {
					rt.Fatalf("readmitting: %v, with another: %v", err, other)
				} else if err == nil {
					l.deleted = false
				}
			default:
				enrolAsTheModel(t, rt, machines, m, name, rapid.SampledFrom(keys).Draw(rt, "with"))
			}
		}
	})
}

func enrolAsTheModel(t *testing.T, rt *rapid.T, machines *rows.Machines, m *model, account string, key directory.Key) {
	hwid := rapid.SampledFrom([]string{"", "h"}).Draw(rt, "hwid")
	e := enrolment(account, key, hwid)
	if len(m.lives) > 0 && rapid.Bool().Draw(rt, "by id") {
		e.MachineID = rapid.SampledFrom(m.lives).Draw(rt, "id").id
	}
	want, place := m.enrol(e.MachineID, hwid, key)
	got := machines.Enrol(t.Context(), []directory.Enrolment{e})[0]
	if want == nil {
		if got.Verdict != directory.Found || m.find(func(l *life) bool { return l.id == got.Machine.ID }) != nil {
			rt.Fatalf("a new machine is %v %s", got.Verdict, got.Machine.ID)
		}
		m.lives = append(m.lives, &life{id: got.Machine.ID, hwid: place})
		return
	}
	verdict := directory.Found
	if want.deleted {
		verdict = directory.Deleted
	}
	if got.Verdict != verdict || got.Machine.ID != want.id && verdict == directory.Found {
		rt.Fatalf("it is %v %s, want %v %s", got.Verdict, got.Machine.ID, verdict, want.id)
	}
}
