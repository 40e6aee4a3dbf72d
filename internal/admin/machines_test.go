package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

func TestAMachineIsShownDeletedAndReadmitted(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	id := d.enrol(k, "h1")[0]
	d.setOnline(id, 2)
	m, err := d.Machine(ctx, id)
	if err != nil || m.ID != id || m.AccountID != k.ID || m.HWID != "h1" || m.Hostname != "host-h1" || !m.Online || m.Sessions != 2 || m.Default || m.EnrolledAt.IsZero() {
		t.Errorf("got %+v and %v", m, err)
	}
	for range 2 {
		if err := d.DeleteMachine(ctx, id); err != nil {
			t.Errorf("deleting: %v", err)
		}
	}
	var e *api.Error
	if _, err := d.Machine(ctx, id); !errors.As(err, &e) || e.Code != api.CodeMachineNotFound || e.Hint == e.Code.Hint() {
		t.Errorf("a deleted machine is %v, want not found with the way back as hint", err)
	}
	if err := d.ReadmitMachine(ctx, id); err != nil {
		t.Errorf("readmitting: %v", err)
	}
	for _, err := range []error{d.DeleteMachine(ctx, "mch_unknown"), d.ReadmitMachine(ctx, "mch_unknown")} {
		if !errors.Is(err, api.CodeMachineNotFound) {
			t.Errorf("an unknown machine: %v", err)
		}
	}
}

func TestEveryMachineIsListedOnceWhateverThePageAndTheFilter(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	a, b := d.account(), d.account()
	var hwids []string
	for i := range 25 {
		hwids = append(hwids, fmt.Sprint("h", i))
	}
	ofA, ofB := d.enrol(a, hwids...), d.enrol(b, hwids[:10]...)
	all := slices.Concat(ofA, ofB)
	var online []string
	for i, id := range all {
		if i%3 == 0 {
			d.setOnline(id, 1)
			online = append(online, id)
		}
	}
	named := append([]string{ofA[1], ofB[1]}, ofA[10:20]...) // h1 and h10 to h19
	d.setOnline("mch_gone", 1)                               // a session of a machine that was deleted a moment ago
	in := func(ids []string) func(string) bool { return func(id string) bool { return slices.Contains(ids, id) } }
	for _, c := range []struct {
		query api.MachineQuery
		want  func(id string) bool
	}{
		{api.MachineQuery{}, func(string) bool { return true }},
		{api.MachineQuery{Account: a.ID}, in(ofA)},
		{api.MachineQuery{Account: "acc_none"}, func(string) bool { return false }},
		{api.MachineQuery{Presence: api.Online}, in(online)},
		{api.MachineQuery{Presence: api.Offline}, func(id string) bool { return !in(online)(id) }},
		{api.MachineQuery{Presence: api.Online, Account: b.ID}, func(id string) bool { return in(online)(id) && in(ofB)(id) }},
		{api.MachineQuery{Presence: api.Offline, Account: b.ID}, func(id string) bool { return !in(online)(id) && in(ofB)(id) }},
		{api.MachineQuery{Search: "HOST-H1"}, in(named)},
		{api.MachineQuery{Search: ofA[3]}, in(ofA[3:4])},
		{api.MachineQuery{Search: "nobody"}, func(string) bool { return false }},
		{api.MachineQuery{Search: "host-h1", Account: a.ID, Presence: api.Offline}, func(id string) bool { return in(named)(id) && in(ofA)(id) && !in(online)(id) }},
		{api.MachineQuery{Search: "host-h1", Presence: api.Online}, func(id string) bool { return in(named)(id) && in(online)(id) }},
	} {
		var want []string
		for _, id := range all {
			if c.want(id) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		for _, limit := range []int{0, 1, 2, 5, 7, 35, 1000} {
			c.query.Limit = limit
			var got []string
			for m, err := range d.Machines(ctx, c.query) {
				if err != nil {
					t.Fatalf("%+v: %v", c.query, err)
				}
				got = append(got, m.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: got %d machines %v, want %d %v", c.query, len(got), got, len(want), want)
			}
		}
	}
}

func TestAPageHoldsNoMoreThanItsLimitAndTheLastHasNoNext(t *testing.T) {
	d := openDoor(t)
	d.enrol(d.account(), "a", "b", "c", "d")
	for limit, next := range map[int]bool{3: true, 4: false, 5: false} {
		p, err := d.MachinePage(t.Context(), api.MachineQuery{Limit: limit})
		if err != nil || len(p.Machines) != min(limit, 4) || (p.Next != "") != next {
			t.Errorf("limit %d: %d machines, next %q, %v", limit, len(p.Machines), p.Next, err)
		}
	}
}

func TestAMachineIsShownWithWhyUnlessThatIsLeftOutOrTheLogDoesNotAnswer(t *testing.T) {
	show := func(d *door, query string) (m api.Machine) {
		t.Helper()
		id := d.enrol(d.account(), "h1")[0]
		answer, text := d.browse("GET", "/v1/machines/"+id+query, "", nil, "Authorization", "Bearer "+testToken)
		if err := json.Unmarshal([]byte(text), &m); err != nil || m.ID != id {
			t.Fatalf("%q: %s %s", query, answer.Status, text)
		}
		return m
	}
	d := openDoor(t)
	if m := show(d, ""); m.Why == nil || m.Why.Standing != api.StandingOffline {
		t.Errorf("why is %+v", m.Why)
	}
	if m := show(d, "?why=false"); m.Why != nil {
		t.Errorf("why was to be left out: %+v", m.Why)
	}
	gone, err := broker.Open(t.Context(), broker.Config{Dir: t.TempDir(), MaxBytes: 256 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := broker.OpenEvents(t.Context(), gone)
	if err != nil {
		t.Fatal(err)
	}
	silent.Close()
	gone.Close()
	if m := show(openDoor(t, func(c *Config) { c.Events = silent }), ""); m.Why != nil {
		t.Errorf("why is known without a log: %+v", m.Why)
	}
}
