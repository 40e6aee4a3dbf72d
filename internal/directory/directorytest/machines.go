package directorytest

import (
	"errors"
	"sync"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
)

func runMachines(t *testing.T, open func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		test func(*testing.T, Fixture)
	}{
		{"EnrollingTwiceIsOneMachine", enrolTwice},
		{"EnrollingAtTheSameTimeIsOneMachine", enrolTogether},
		{"AnIDOfAnotherAccountCountsAsNotSent", foreignID},
		{"ADeletedMachineStaysDeletedForItsKeyAndHWID", deleteMachine},
		{"ADeletedDefaultMachineStaysDeletedForItsKey", deleteDefault},
		{"AReadmittedMachineIsTheSame", readmit},
		{"AnUnknownMachineIsNotFoundNeverDeleted", unknownMachine},
		{"NoMachineIsAbsentWhileTheStoreIsAway", machineOutage},
		{"AMachineWatchReportsLiveFirstThenChanges", watchMachines},
		{"AnAccountsDeletionDeletesItsMachines", deleteAccountOfMachines},
		{"MachinesAreListedInOrderBeyondOnePage", listMachines},
		{"NewsOfADeletedMachineDoNotBringItBack", seeDeleted},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) { x.test(t, open(t)) })
	}
}

const first, second = directory.Key("the first key"), directory.Key("the second key")

func enrol(t *testing.T, f Fixture, e directory.Enrolment) directory.MachineAnswer {
	t.Helper()
	return f.Machines.Enrol(t.Context(), []directory.Enrolment{e})[0]
}

// mustEnrol returns the id of a machine that is there.
func mustEnrol(t *testing.T, f Fixture, e directory.Enrolment) string {
	t.Helper()
	a := enrol(t, f, e)
	if a.Verdict != directory.Found || a.Machine.ID == "" || a.Machine.AccountID != e.AccountID {
		t.Fatalf("enrolling %+v: %v %+v", e.Info, a.Verdict, a.Machine)
	}
	return a.Machine.ID
}

func expectDeleted(t *testing.T, a directory.MachineAnswer, id string) {
	t.Helper()
	if a.Verdict != directory.Deleted || a.Machine.ID != id || a.Machine.DeletedAt.IsZero() {
		t.Errorf("the answer is %v %q, want that %q is deleted", a.Verdict, a.Machine.ID, id)
	}
}

func mustDelete(t *testing.T, f Fixture, id string) {
	t.Helper()
	if err := f.Admin.Delete(t.Context(), id); err != nil {
		t.Fatalf("deleting a machine: %v", err)
	}
}

func enrolTwice(t *testing.T, f Fixture) {
	acc := f.Add(first)
	one := directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(1)}
	two := directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(2)}
	plain := directory.Enrolment{AccountID: acc, Digest: first.Digest()}
	got := f.Machines.Enrol(t.Context(), []directory.Enrolment{one, two, plain, one, plain})
	for i, a := range got {
		if a.Verdict != directory.Found || a.Machine.Default != (i == 2 || i == 4) {
			t.Fatalf("enrolment %d is %v %+v", i, a.Verdict, a.Machine)
		}
	}
	ids := []string{got[0].Machine.ID, got[1].Machine.ID, got[2].Machine.ID}
	if ids[0] == ids[1] || ids[1] == ids[2] || got[3].Machine.ID != ids[0] || got[4].Machine.ID != ids[2] {
		t.Errorf("the machines are %q and again %q, %q", ids, got[3].Machine.ID, got[4].Machine.ID)
	}
	if again := mustEnrol(t, f, two); again != ids[1] {
		t.Errorf("enrolled again it is %s, not %s", again, ids[1])
	}
	moved := directory.Enrolment{AccountID: acc, Digest: first.Digest(), MachineID: ids[0], Info: hwid(3)}
	if again := mustEnrol(t, f, moved); again != ids[0] {
		t.Errorf("with its id and another hwid it is %s, not %s", again, ids[0])
	}
}

func enrolTogether(t *testing.T, f Fixture) {
	e := directory.Enrolment{AccountID: f.Add(first), Digest: first.Digest(), Info: hwid(1)}
	var work sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		work.Go(func() { ids[i] = f.Machines.Enrol(t.Context(), []directory.Enrolment{e})[0].Machine.ID })
	}
	work.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("one machine is many: %q", ids)
		}
	}
}

func foreignID(t *testing.T, f Fixture) {
	acc, other := f.Add(first), f.Add(second)
	theirs := mustEnrol(t, f, directory.Enrolment{AccountID: other, Digest: second.Digest(), Info: hwid(1)})
	mustDelete(t, f, theirs)
	for _, id := range []string{theirs, "mch_aaaaaaaa_aaaaaaaaaaaaaaaa", "gibberish"} {
		e := directory.Enrolment{AccountID: acc, Digest: first.Digest(), MachineID: id, Info: hwid(1)}
		if mine := mustEnrol(t, f, e); mine == theirs {
			t.Errorf("with id %s it is another account's machine", id)
		}
	}
}

func deleteMachine(t *testing.T, f Fixture) {
	acc := f.Add(first)
	e := directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: hwid(1)}
	id := mustEnrol(t, f, e)
	mustDelete(t, f, id)
	mustDelete(t, f, id) // deleting it again is nothing
	byID, byBoth := e, e
	byID.MachineID, byID.Info = id, nil
	byBoth.MachineID = id
	for _, again := range []directory.Enrolment{e, byID, byBoth} {
		expectDeleted(t, enrol(t, f, again), id)
	}
	expectDeleted(t, f.Machines.Check(t.Context(), []string{id})[0], id)
	f.Rotate(acc, second)
	byBoth.Digest = second.Digest()
	anew := mustEnrol(t, f, byBoth)
	if anew == id {
		t.Error("enrolled anew it has the deleted machine's id")
	}
	f = f.Restart()
	expectDeleted(t, f.Machines.Check(t.Context(), []string{id})[0], id)
	if again := mustEnrol(t, f, byBoth); again != anew {
		t.Errorf("after a restart it is %s, not %s", again, anew)
	}
}

func deleteDefault(t *testing.T, f Fixture) {
	acc := f.Add(first)
	e := directory.Enrolment{AccountID: acc, Digest: first.Digest()}
	id := mustEnrol(t, f, e)
	mustDelete(t, f, id)
	expectDeleted(t, enrol(t, f, e), id)
	f.Rotate(acc, second)
	anew := mustEnrol(t, f, directory.Enrolment{AccountID: acc, Digest: second.Digest()})
	if anew == id {
		t.Error("the new default machine has the deleted one's id")
	}
	f.Rotate(acc, first)
	expectDeleted(t, enrol(t, f, e), id)
}

func readmit(t *testing.T, f Fixture) {
	acc := f.Add(first)
	for _, info := range []*directory.MachineInfo{nil, hwid(1)} {
		e := directory.Enrolment{AccountID: acc, Digest: first.Digest(), Info: info}
		id := mustEnrol(t, f, e)
		mustDelete(t, f, id)
		if err := f.Admin.Readmit(t.Context(), id); err != nil {
			t.Fatalf("readmitting: %v", err)
		}
		if again := mustEnrol(t, f, e); again != id {
			t.Errorf("readmitted it is %s, not %s", again, id)
		}
		if err := f.Admin.Readmit(t.Context(), id); err != nil {
			t.Errorf("readmitting a machine that exists: %v", err)
		}
	}
}

func unknownMachine(t *testing.T, f Fixture) {
	got := f.Machines.Check(t.Context(), []string{"mch_aaaaaaaa_aaaaaaaaaaaaaaaa", "", "gibberish"})
	for i, a := range got {
		if a.Verdict != directory.NotFound {
			t.Errorf("unknown machine %d is %v", i, a.Verdict)
		}
	}
	if err := f.Admin.Delete(t.Context(), "gibberish"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("deleting an unknown machine: %v", err)
	}
	if err := f.Admin.Readmit(t.Context(), "gibberish"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("readmitting an unknown machine: %v", err)
	}
}

func machineOutage(t *testing.T, f Fixture) {
	e := directory.Enrolment{AccountID: f.Add(first), Digest: first.Digest(), Info: hwid(1)}
	id := mustEnrol(t, f, e)
	other := mustEnrol(t, f, directory.Enrolment{AccountID: e.AccountID, Digest: e.Digest, Info: hwid(2)})
	f.Outage(true)
	fresh := directory.Enrolment{AccountID: e.AccountID, Digest: e.Digest, Info: hwid(3)}
	got := append(f.Machines.Check(t.Context(), []string{"unknown", id}), f.Machines.Enrol(t.Context(), []directory.Enrolment{fresh, e})...)
	for i, a := range got {
		if a.Verdict != directory.Unavailable && (i%2 == 0 || a.Verdict != directory.Found) {
			t.Errorf("answer %d while the store is away is %v", i, a.Verdict)
		}
	}
	// Whether this one is deleted nobody can tell: it is the answer that may have been lost.
	if err := f.Admin.Delete(t.Context(), other); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("deleting while the store is away: %v", err)
	}
	f.Outage(false)
	until(t, "the store is back", func() bool { return enrol(t, f, e).Verdict == directory.Found })
	if again := mustEnrol(t, f, e); again != id {
		t.Errorf("after the outage it is %s, not %s", again, id)
	}
}

func watchMachines(t *testing.T, f Fixture) {
	id := mustEnrol(t, f, directory.Enrolment{AccountID: f.Add(first), Digest: first.Digest(), Info: hwid(1)})
	events := Watch(t, f.Machines.Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	mustDelete(t, f, id)
	events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
	if err := f.Admin.Readmit(t.Context(), id); err != nil {
		t.Fatalf("readmitting: %v", err)
	}
	events.Expect(t, directory.Event{Kind: directory.Changed, ID: id})
}
