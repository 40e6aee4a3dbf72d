package directorytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// many is more than one page of any store.
const many = 1050

func moreThanOnePage(t *testing.T, f Fixture) {
	keys, ids := make([]directory.Key, many), make([]string, many)
	for i := range keys {
		keys[i] = directory.Key(fmt.Sprint("key-", i))
		ids[i] = f.Add(keys[i])
	}
	f.Delete(ids[many/2])
	ids[many/2] = ""
	expectAccounts(t, f.Accounts.Lookup(t.Context(), keys), ids...)
	expectAccounts(t, f.Accounts.Check(t.Context(), slices.DeleteFunc(slices.Clone(ids), isEmpty)), slices.DeleteFunc(ids, isEmpty)...)
}

func isEmpty(id string) bool { return id == "" }

// moveKey: the key decides, not whose it was.
func moveKey(t *testing.T, f Fixture) {
	one, two := f.Add("moving"), f.Add("key-two")
	f.Rotate(one, "key-one")
	f.Rotate(two, "moving")
	expectAccounts(t, f.Accounts.Lookup(t.Context(), []directory.Key{"moving", "key-one", "key-two"}), two, one, "")
	for i, a := range f.Accounts.Check(t.Context(), []string{one, two}) {
		if a.Account.Opens(directory.Key("moving").Digest()) != (i == 1) {
			t.Errorf("account %d says otherwise which key opens it", i)
		}
	}
}

func deleteMany(t *testing.T, f Fixture) {
	kept := f.Add("kept")
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = f.Add(directory.Key(fmt.Sprint("key-", i)))
	}
	events := Watch(t, f.Accounts.Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	for _, id := range ids {
		f.Delete(id)
	}
	for _, id := range ids {
		events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
	}
	for i, a := range f.Accounts.Check(t.Context(), append(ids, kept)) {
		if isThere := a.Verdict == directory.Found; isThere != (i == len(ids)) || a.Verdict == directory.Unavailable {
			t.Errorf("account %d is %v", i, a.Verdict)
		}
	}
}

func deleteAccountOfMachines(t *testing.T, f Fixture) {
	acc, other := f.Add(first), f.Add(second)
	e := directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(1)}
	plain := directory.Enrolment{AccountID: acc, Digest: first.Digest()}
	kept := mustEnrol(t, f, directory.Enrolment{AccountID: other, Digest: second.Digest(), Info: hwid(1)})
	ids := []string{mustEnrol(t, f, e), mustEnrol(t, f, plain)}
	events := Watch(t, f.Machines.Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	f.Delete(acc)
	for range 2 { // as the gateway does when it hears of it
		if err := f.Machines.DeleteAll(t.Context(), acc); err != nil {
			t.Fatalf("deleting its machines: %v", err)
		}
	}
	for _, id := range ids {
		expectDeleted(t, f.Machines.Check(t.Context(), []string{id})[0], id)
		events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
	}
	for _, again := range []directory.Enrolment{e, plain} {
		if v := enrol(t, f, again).Verdict; v == directory.Found {
			t.Error("a machine of a deleted account was enrolled again")
		}
	}
	if v := f.Machines.Check(t.Context(), []string{kept})[0].Verdict; v != directory.Found {
		t.Errorf("another account's machine is %v", v)
	}
}

func listMachines(t *testing.T, f Fixture) {
	acc := f.Add(first)
	es := make([]directory.Enrolment, many)
	for i := range es {
		es[i] = directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(i)}
	}
	var want []string
	for _, a := range f.Machines.Enrol(t.Context(), es) {
		want = append(want, a.Machine.ID)
	}
	slices.Sort(want)
	mustDelete(t, f, want[0])
	for deleted, ids := range map[bool][]string{true: want[:1], false: want[1:]} {
		list, err := f.Admin.List(t.Context(), directory.MachineFilter{AccountID: acc, Limit: 2 * many, Deleted: deleted})
		var got []string
		for _, m := range list {
			got = append(got, m.ID)
		}
		if err != nil || !slices.Equal(got, ids) {
			t.Errorf("%d machines are listed, want %d (deleted: %t, %v)", len(got), len(ids), deleted, err)
		}
	}
	page, err := f.Admin.List(t.Context(), directory.MachineFilter{After: want[10], Limit: 3})
	if err != nil || len(page) != 3 || page[0].ID != want[11] || !strings.HasPrefix(page[0].Name, "host-") {
		t.Errorf("the page after a machine is %v (%v)", page, err)
	}
}

func seeDeleted(t *testing.T, f Fixture) {
	acc := f.Add(first)
	id := mustEnrol(t, f, directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(1)})
	at := time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond)
	news := []directory.Seen{{MachineID: id, At: at, Online: true, Info: hwid(2)}, {MachineID: "unknown", At: at}}
	if err := f.Machines.Seen(t.Context(), news); err != nil {
		t.Fatalf("storing news: %v", err)
	}
	if m := f.Machines.Check(t.Context(), []string{id})[0].Machine; !m.LastSeenAt.Equal(at) || m.Info.Hostname != "host-2" {
		t.Errorf("after the news it is %+v", m)
	}
	mustDelete(t, f, id)
	if err := f.Machines.Seen(t.Context(), news); err != nil {
		t.Fatalf("storing news of a deleted machine: %v", err)
	}
	expectDeleted(t, f.Machines.Check(t.Context(), []string{id})[0], id)
}
