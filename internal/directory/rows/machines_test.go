package rows_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

func TestADeletionLeavesItsRecordHoweverItComes(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one'), (2, 'two'), (3, 'three')`)
	bySQL := enrolled(t, m, enrolment("1", "one", "h"))
	byRename := enrolled(t, m, enrolment("1", "one", "r"))
	byCascade := enrolled(t, m, enrolment("2", "two", "h"))
	byTruncate := enrolled(t, m, enrolment("3", "three", "h"))
	d.Exec(t, `delete from machines where id = '`+bySQL+`'; update machines set id = 'another' where id = '`+byRename+`';
		delete from "user" where id = 2; set session_replication_role = replica; truncate machines`)
	for _, id := range []string{bySQL, byRename, byCascade, byTruncate, "another"} {
		expectVerdict(t, m, id, directory.Deleted)
	}
	if got := m.Enrol(t.Context(), []directory.Enrolment{enrolment("1", "one", "h")})[0]; got.Verdict != directory.Deleted || got.Machine.ID != bySQL {
		t.Errorf("with the key it was deleted under: %v %s", got.Verdict, got.Machine.ID)
	}
}

func TestADeletedAccountThatComesBackFindsItsMachinesDeleted(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one')`)
	id := enrolled(t, m, enrolment("1", "one", "h"))
	d.Exec(t, `begin; delete from "user"; commit; insert into "user" values (1, 'one')`)
	if got := m.Enrol(t.Context(), []directory.Enrolment{enrolment("1", "one", "h")})[0]; got.Verdict != directory.Deleted || got.Machine.ID != id {
		t.Errorf("it is %v", got.Verdict)
	}
	d.Exec(t, `update "user" set apikey = 'two'`)
	if anew := enrolled(t, m, enrolment("1", "two", "h")); anew == id {
		t.Error("with another key it is the deleted one")
	}
}

func TestARowThatIsInsertedAgainIsNotDeleted(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one')`)
	id := enrolled(t, m, enrolment("1", "one", "h"))
	d.Exec(t, `create temp table kept as table machines; delete from machines; insert into machines select * from kept`)
	expectVerdict(t, m, id, directory.Found)
	if again := enrolled(t, m, enrolment("1", "one", "h")); again != id {
		t.Errorf("it is %s, not %s", again, id)
	}
}

func TestAnAccountThatIsReplacedInOneTransactionKeepsItsMachines(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one'), (2, 'two')`)
	kept, plain := enrolled(t, m, enrolment("1", "one", "h")), enrolled(t, m, enrolment("1", "one", ""))
	gone, byHand := enrolled(t, m, enrolment("2", "two", "h")), enrolled(t, m, enrolment("1", "one", "g"))
	d.Exec(t, `begin; delete from machines where id = '`+byHand+`'; delete from "user"; insert into "user" values (1, 'one'); commit`)
	expectVerdict(t, m, kept, directory.Found)
	expectVerdict(t, m, plain, directory.Found)
	expectVerdict(t, m, gone, directory.Deleted)
	expectVerdict(t, m, byHand, directory.Deleted)
	if again := enrolled(t, m, enrolment("1", "one", "")); again != plain {
		t.Errorf("the default machine is %s, not %s", again, plain)
	}
}

func TestReadmittingFindsItsLimits(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one'), (2, 'two')`)
	id := enrolled(t, m, enrolment("1", "one", "h"))
	d.Exec(t, `update machines set name = 'by its owner'`)
	deleteMachine(t, m, id)
	if err := m.Readmit(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := m.Check(t.Context(), []string{id})[0].Machine; got.Name != "by its owner" || got.Info.Hostname != "host of h" {
		t.Errorf("readmitted it is %+v", got)
	}
	deleteMachine(t, m, id)
	d.Exec(t, `update "user" set apikey = 'three' where id = 1`)
	anew := enrolled(t, m, enrolment("1", "three", "h"))
	if err := m.Readmit(t.Context(), id); !errors.Is(err, directory.ErrReplaced) || !strings.Contains(err.Error(), anew) {
		t.Errorf("readmitting a machine with a successor: %v", err)
	}
	expectVerdict(t, m, id, directory.Deleted)
	orphan := enrolled(t, m, enrolment("2", "two", "h"))
	d.Exec(t, `delete from "user" where id = 2`)
	if err := m.Readmit(t.Context(), orphan); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("readmitting a machine of no account: %v", err)
	}
	expectVerdict(t, m, orphan, directory.Deleted)
}

func deleteMachine(t testing.TB, m *rows.Machines, id string) {
	t.Helper()
	if err := m.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// Enrolments that overlap a deletion may find the machine or not; none may bring it back.
func TestAMachineDeletedAmongEnrolmentsStaysDeleted(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'key')`)
	for round := range 60 {
		e := enrolment("1", "key", fmt.Sprint("h", round))
		var work sync.WaitGroup
		start := make(chan struct{})
		for range 4 {
			work.Go(func() {
				<-start
				m.Enrol(t.Context(), []directory.Enrolment{e, e})
			})
		}
		work.Go(func() {
			<-start
			for {
				list, err := m.List(t.Context(), directory.MachineFilter{})
				if err != nil || len(list) > 0 && m.Delete(t.Context(), list[0].ID) == nil {
					return
				}
			}
		})
		close(start)
		work.Wait()
		if got := m.Enrol(t.Context(), []directory.Enrolment{e})[0]; got.Verdict != directory.Deleted {
			t.Fatalf("round %d: the deleted machine is %v", round, got.Verdict)
		}
		if list, err := m.List(t.Context(), directory.MachineFilter{}); err != nil || len(list) > 0 {
			t.Fatalf("round %d: %d machines are left (%v)", round, len(list), err)
		}
	}
}

func TestManyAreAskedInBatchesAndAnsweredInOrder(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'key')`)
	es := make([]directory.Enrolment, 1700)
	for i := range es {
		es[i] = enrolment("1", "key", fmt.Sprint("h", i*7919%1700)) // in no order
	}
	ids := make([]string, len(es))
	for i, a := range m.Enrol(t.Context(), es) {
		if a.Verdict != directory.Found || a.Machine.Info.HWID != es[i].Info.HWID {
			t.Fatalf("answer %d is %v %s", i, a.Verdict, a.Machine.Info.HWID)
		}
		ids[i] = a.Machine.ID
	}
	deleteMachine(t, m, ids[1234])
	for i, a := range m.Check(t.Context(), append(ids, "unknown")) {
		want := directory.Found
		if i == 1234 {
			want = directory.Deleted
		} else if i == len(ids) {
			want = directory.NotFound
		}
		if a.Verdict != want || i < len(ids) && a.Machine.ID != ids[i] {
			t.Fatalf("answer %d is %v %s", i, a.Verdict, a.Machine.ID)
		}
	}
	list, err := m.List(t.Context(), directory.MachineFilter{AccountID: "1", Limit: 5000})
	if err != nil || len(list) != len(ids)-1 || !slices.IsSortedFunc(list, func(a, b directory.Machine) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d machines are listed (%v)", len(list), err)
	}
	next, err := m.List(t.Context(), directory.MachineFilter{After: list[99].ID, Limit: 1})
	if err != nil || len(next) != 1 || next[0].ID != list[100].ID {
		t.Errorf("the next is %v (%v)", next, err)
	}
	gone, err := m.List(t.Context(), directory.MachineFilter{Deleted: true})
	if err != nil || len(gone) != 1 || gone[0].ID != ids[1234] || gone[0].DeletedAt.IsZero() {
		t.Errorf("deleted are %v (%v)", gone, err)
	}
	if err := m.DeleteAll(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	expectVerdict(t, m, ids[0], directory.Deleted)
}

func TestAnIDThatCannotBeOneSpoilsNoBatch(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'one')`)
	got := m.Enrol(t.Context(), []directory.Enrolment{enrolment("no number", "one", "h"), enrolment("1", "one", "h"), enrolment("01", "one", "h")})
	for i, want := range []directory.Verdict{directory.Unavailable, directory.Found, directory.Unavailable} {
		if got[i].Verdict != want {
			t.Errorf("answer %d is %v, want %v", i, got[i].Verdict, want)
		}
	}
	if err := m.DeleteAll(t.Context(), "no number"); err != nil {
		t.Errorf("deleting the machines of nobody: %v", err)
	}
	if list, err := m.List(t.Context(), directory.MachineFilter{AccountID: "no number"}); err != nil || len(list) > 0 {
		t.Errorf("%d machines of nobody (%v)", len(list), err)
	}
}

func TestNewsBringNobodyBackAndNoMachineSpoilsThem(t *testing.T) {
	d := migrated(t, "bigint")
	m := newMachines(t, d)
	d.Exec(t, `insert into "user" values (1, 'key')`)
	e := enrolment("1", "key", "h\x00w\xffid")
	e.Info.CPUCores, e.Info.RAMBytes, e.Info.Hostname = math.MaxUint64, math.MaxUint64, "\x00\xff"
	odd, gone := enrolled(t, m, e), enrolled(t, m, enrolment("1", "key", "g"))
	deleteMachine(t, m, gone)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	news := []directory.Seen{
		{MachineID: odd, At: at.Add(-time.Minute), Info: &directory.MachineInfo{Hostname: "renamed", CPUCores: math.MaxUint64}},
		{MachineID: odd, At: at, Online: true}, {MachineID: gone, At: at, Online: true}, {MachineID: "\x00", At: at},
	}
	if err := m.Seen(t.Context(), news); err != nil {
		t.Fatal(err)
	}
	got := m.Check(t.Context(), []string{odd})[0].Machine
	if !got.LastSeenAt.Equal(at) || got.Name != "renamed" || got.Info.HWID != "h\uFFFDw\uFFFDid" {
		t.Errorf("after the news it is %+v", got)
	}
	expectVerdict(t, m, gone, directory.Deleted)
	if err := m.ResetOnline(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Exec(t, `do $$ begin assert not exists (select from machines where online), 'online'; end $$`)
}

func TestWithoutTheMigrationNothingIsKnown(t *testing.T) {
	m := newMachines(t, newDatabase(t, "bigint"))
	if err := m.Installed(t.Context()); !errors.Is(err, rows.ErrNotInstalled) {
		t.Errorf("the error is %v", err)
	}
	expectVerdict(t, m, "unknown", directory.Unavailable)
	if err := m.Delete(t.Context(), "unknown"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("deleting: %v", err)
	}
}
