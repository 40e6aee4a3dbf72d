package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/nats-io/nats.go/jetstream"
)

func TestAllProblemsOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Config{Installation: "UPPERCAS", Replicas: -1})
	for _, want := range []string{"JetStream", "logger", "UPPERCAS", "replicas"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestKeysAreKeptAsDigestsOnlyAndPrintAsStars(t *testing.T) {
	js := dial(t, newStore(t))
	d := openOn(t, js)
	a, key, err := d.Accounts().Add(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if len(key) != 4+43 || !strings.HasPrefix(string(key), "flk_") {
		t.Errorf("the key has %d characters", len(key))
	}
	if shown := fmt.Sprintf("%v %s %#v %+v", key, key, key, []directory.Key{key}); strings.Contains(shown, string(key)) {
		t.Error("a key shows when it is printed")
	}
	kv, err := js.KeyValue(t.Context(), accountsBucket)
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(e.Value(), []byte(key[4:])) {
		t.Error("the record holds the key")
	}
}

func TestWhatOneNodeStoresTheOtherAnswersAtOnce(t *testing.T) {
	s := newStore(t)
	one, two := openOn(t, dial(t, s)), openOn(t, dial(t, s))
	for range 200 {
		a, key, err := one.Accounts().Add(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := two.Accounts().Lookup(t.Context(), []directory.Key{key})[0]; got.Verdict != directory.Found {
			t.Fatalf("an account that exists is %v at the other node", got.Verdict)
		}
		e := directory.Enrolment{AccountID: a.ID, Digest: key.Digest()}
		id := enrolled(t, one, e)
		if again := enrolled(t, two, e); again != id {
			t.Fatalf("one machine is %s here and %s there", id, again)
		}
	}
}

func TestManyNodesThatEnrolTogetherAgree(t *testing.T) {
	s := newStore(t)
	nodes := []*Directory{openOn(t, dial(t, s)), openOn(t, dial(t, s)), openOn(t, dial(t, s))}
	acc := addAccount(t, nodes[0], "key")
	var es []directory.Enrolment
	for n := range 20 {
		info := &directory.MachineInfo{HWID: fmt.Sprint("hwid-", n%10)}
		es = append(es, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest(), Info: info})
	}
	es = append(es, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()})
	got := make([][]directory.MachineAnswer, 4*len(nodes))
	var work sync.WaitGroup
	for i := range got {
		work.Go(func() { got[i] = nodes[i%len(nodes)].Machines().Enrol(t.Context(), es) })
	}
	work.Wait()
	for i := range got {
		for j := range es {
			if a := got[i][j]; a.Verdict != directory.Found || a.Machine.ID != got[0][j].Machine.ID || a.Machine.ID != got[i][j%10+j/20*20].Machine.ID && j < 20 {
				t.Fatalf("caller %d got %v %s for enrolment %d, the first %s", i, a.Verdict, a.Machine.ID, j, got[0][j].Machine.ID)
			}
		}
	}
	if err := nodes[1].machines.bucket.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := nodes[1].Machines().List(t.Context(), directory.MachineFilter{})
	if err != nil || len(all) != 11 {
		t.Errorf("there are %d machines, want 11 (%v)", len(all), err)
	}
}

func TestADeletionIsKnownAndReportedWhenDeleteReturns(t *testing.T) {
	s := newStore(t)
	here, there := openOn(t, dial(t, s)), openOn(t, dial(t, s))
	acc := addAccount(t, here, "key")
	id := enrolled(t, here, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()})
	waiting := here.machines.book.feed.Subscribe()
	defer waiting.Close()
	waiting.Take()
	events := directorytest.Watch(t, there.Machines().Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	if err := here.Machines().Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := waiting.Take(); !slices.Equal(got, []directory.Event{{Kind: directory.Gone, ID: id, Asked: true, Proven: true}}) {
		t.Errorf("when Delete returns, %v waits for a watcher", got)
	}
	expectVerdicts(t, here.Machines().Check(t.Context(), []string{id}), directory.Deleted)
	events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
}

func TestOnlyTheNodeThatDeletesHasProof(t *testing.T) {
	s := newStore(t)
	here, there := openOn(t, dial(t, s)), openOn(t, dial(t, s))
	acc := addAccount(t, here, "key")
	id := enrolled(t, here, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()})
	var events [4]*feed.Watcher
	for i, f := range []*feed.Feed{here.machines.book.feed, here.accounts.book.feed, there.machines.book.feed, there.accounts.book.feed} {
		events[i] = f.Subscribe()
		defer events[i].Close()
		events[i].Take()
	}
	if err := here.Accounts().DeleteAccount(t.Context(), acc); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bucket{there.machines.bucket, there.accounts.bucket} {
		if err := b.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{id, acc, id, acc} {
		got := events[i].Take()
		if len(got) != 1 || got[0] != (directory.Event{Kind: directory.Gone, ID: want, Asked: true, Proven: i < 2}) {
			t.Errorf("watcher %d heard %+v of %s", i, got, want)
		}
	}
}

func TestADeletionThatWasTakenBackMeanwhileIsNotProven(t *testing.T) {
	d := newDirectory(t)
	acc := addAccount(t, d, "key")
	id := enrolled(t, d, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()})
	for _, isTakenBack := range []bool{false, true} {
		live, hold := make(chan struct{}), make(chan struct{})
		heard := firstGone(t, func(ctx context.Context, report func(directory.Event)) error {
			return d.Machines().Watch(ctx, func(e directory.Event) {
				if e.Kind == directory.Live {
					close(live)
					<-hold
				}
				report(e)
			})
		})
		<-live
		if err := d.Machines().Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if isTakenBack {
			if err := d.Machines().Readmit(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		close(hold)
		if e := <-heard; e.Proven == isTakenBack {
			t.Errorf("taken back: %t, reported: %+v", isTakenBack, e)
		}
		if err := d.Machines().Readmit(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// firstGone watches until the test ends and hands on the first deletion.
func firstGone(t *testing.T, watch func(context.Context, func(directory.Event)) error) <-chan directory.Event {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	heard := make(chan directory.Event, 1)
	var work sync.WaitGroup
	work.Go(func() { // ends with ctx
		_ = watch(ctx, func(e directory.Event) {
			if e.Kind == directory.Gone && len(heard) == 0 {
				heard <- e
			}
		})
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return heard
}

func TestDeletingAnAccountDeletesItsMachinesForEver(t *testing.T) {
	d := newDirectory(t)
	acc, other := addAccount(t, d, "key"), addAccount(t, d, "other")
	var es []directory.Enrolment
	for n := range 100 {
		es = append(es, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}})
	}
	var ids []string
	for _, a := range d.Machines().Enrol(t.Context(), es) {
		ids = append(ids, a.Machine.ID)
	}
	kept := enrolled(t, d, directory.Enrolment{AccountID: other, Digest: directory.Key("other").Digest()})
	events := directorytest.Watch(t, d.Machines().Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	for range 2 { // the second time there is nothing left to do
		if err := d.Accounts().DeleteAccount(t.Context(), acc); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range d.Machines().Check(t.Context(), append(ids, kept)) {
		if want := i < len(ids); want != (a.Verdict == directory.Deleted) {
			t.Errorf("machine %d is %v", i, a.Verdict)
		}
	}
	events.Expect(t, directory.Event{Kind: directory.Gone, ID: ids[99]})
	if v := d.Accounts().Check(t.Context(), []string{acc})[0].Verdict; v != directory.Deleted {
		t.Errorf("the account is %v", v)
	}
	fresh := directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: "new"}}
	if v := d.Machines().Enrol(t.Context(), []directory.Enrolment{fresh})[0].Verdict; v == directory.Found {
		t.Error("a machine was enrolled under a deleted account")
	}
	if err := d.Accounts().DeleteAccount(t.Context(), "nobody"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("deleting no account: %v", err)
	}
}

func TestAMachineStaysDeletedForEveryKeyThatOpenedItsAccount(t *testing.T) {
	d := newDirectory(t)
	acc := addAccount(t, d, "old")
	if err := d.Accounts().rotate(t.Context(), acc, "new", time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, info := range []*directory.MachineInfo{nil, {HWID: "hwid"}} {
		e := directory.Enrolment{AccountID: acc, Digest: directory.Key("new").Digest(), Info: info}
		id := enrolled(t, d, e)
		if err := d.Machines().Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for _, k := range []directory.Key{"old", "new"} {
			e.Digest = k.Digest()
			if a := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]; a.Verdict != directory.Deleted || a.Machine.ID != id {
				t.Errorf("with the %s key it is %v", string(k), a.Verdict)
			}
		}
	}
}

func TestAMachineOfAnAccountKeptElsewhereStaysDeletedForItsLastKey(t *testing.T) {
	d := newDirectory(t)
	e := directory.Enrolment{AccountID: "a row elsewhere", Digest: directory.Key("one").Digest(), Info: &directory.MachineInfo{HWID: "h"}}
	id := enrolled(t, d, e)
	e.Digest = directory.Key("two").Digest()
	if again := enrolled(t, d, e); again != id {
		t.Fatalf("with another key it is %s, not %s", again, id)
	}
	if err := d.Machines().Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if v := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0].Verdict; v != directory.Deleted {
		t.Errorf("with its last key it is %v", v)
	}
	e.Digest = directory.Key("three").Digest()
	anew := enrolled(t, d, e)
	if anew == id {
		t.Error("with another key it is the deleted machine")
	}
	if err := d.Machines().Readmit(t.Context(), id); !errors.Is(err, directory.ErrReplaced) || !strings.Contains(err.Error(), anew) {
		t.Errorf("readmitting a machine that has a successor: %v", err)
	}
}

func TestABadRecordHidesNobodyElseAndIsNeverAnAbsence(t *testing.T) {
	js := dial(t, newStore(t))
	d := openOn(t, js)
	acc, broken := addAccount(t, d, "key"), addAccount(t, d, "broken")
	e := directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()}
	hidden := directory.Enrolment{AccountID: acc, Digest: e.Digest, Info: &directory.MachineInfo{HWID: "hidden"}}
	id, hiddenID := enrolled(t, d, e), enrolled(t, d, hidden)
	spoil(t, js, accountsBucket, broken)
	spoil(t, js, machinesBucket, slotKey(acc, "hidden"))
	for _, b := range []*bucket{d.accounts.bucket, d.machines.bucket} {
		if err := b.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // with the earlier record in memory, and after a restart without it
		accounts := d.Accounts().Lookup(t.Context(), []directory.Key{"key", "broken", "unknown"})
		accounts = append(accounts, d.Accounts().Check(t.Context(), []string{acc, broken})...)
		expectVerdicts(t, accounts, directory.Found, directory.Unavailable, directory.Unavailable, directory.Found, directory.Unavailable)
		machines := d.Machines().Check(t.Context(), []string{id, hiddenID})
		machines = append(machines, d.Machines().Enrol(t.Context(), []directory.Enrolment{e, hidden})...)
		expectVerdicts(t, machines, directory.Found, directory.Unavailable, directory.Found, directory.Unavailable)
		if err := d.Machines().Delete(t.Context(), hiddenID); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("deleting what cannot be read: %v", err)
		}
		d.Close()
		d = openOn(t, js)
	}
}

func spoil(t *testing.T, js jetstream.JetStream, bucket, key string) {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), bucket)
	if err == nil {
		_, err = kv.Put(t.Context(), key, []byte(`{"at":"another time"}`))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func expectVerdicts[A directory.AccountAnswer | directory.MachineAnswer](t *testing.T, got []A, want ...directory.Verdict) {
	t.Helper()
	for i, a := range got {
		var v directory.Verdict
		switch a := any(a).(type) {
		case directory.AccountAnswer:
			v = a.Verdict
		case directory.MachineAnswer:
			v = a.Verdict
		}
		if v != want[i] {
			t.Errorf("answer %d is %v, want %v", i, v, want[i])
		}
	}
}

func TestNewsOfAMachineNeverBringItBack(t *testing.T) {
	d := newDirectory(t)
	acc := addAccount(t, d, "key")
	for n := range 20 {
		e := directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}}
		id := enrolled(t, d, e)
		at := time.Now().Add(time.Minute).UTC()
		info := &directory.MachineInfo{Hostname: "renamed", HWID: fmt.Sprint(n)}
		if err := d.Machines().Seen(t.Context(), []directory.Seen{{MachineID: id, At: at, Info: info}, {MachineID: "unknown", At: at}}); err != nil {
			t.Fatal(err)
		}
		m := d.Machines().Check(t.Context(), []string{id})[0].Machine
		if !m.LastSeenAt.Equal(at) || m.Name != "renamed" {
			t.Errorf("last seen %v as %q", m.LastSeenAt, m.Name)
		}
		var work sync.WaitGroup
		work.Go(func() { _ = d.Machines().Seen(t.Context(), []directory.Seen{{MachineID: id, At: at.Add(time.Minute)}}) })
		if err := d.Machines().Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		work.Wait()
		if v := d.Machines().Check(t.Context(), []string{id})[0].Verdict; v != directory.Deleted {
			t.Fatalf("after news of it the deleted machine is %v", v)
		}
	}
}

func TestWhenAMachineWasSeenIsKnownToAMinuteAndChangesOfItAtOnce(t *testing.T) {
	d := newDirectory(t)
	info := directory.MachineInfo{HWID: "h"}
	id := enrolled(t, d, directory.Enrolment{AccountID: addAccount(t, d, "key"), Digest: directory.Key("key").Digest(), Info: &info})
	known := func() directory.Machine { return d.Machines().Check(t.Context(), []string{id})[0].Machine }
	began := known().LastSeenAt
	seen := func(after time.Duration, info *directory.MachineInfo) {
		t.Helper()
		if err := d.Machines().Seen(t.Context(), []directory.Seen{{MachineID: id, At: began.Add(after), Info: info}}); err != nil {
			t.Fatal(err)
		}
	}
	newest := func() uint64 {
		b := d.Machines().bucket
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.newest
	}
	written := newest()
	seen(time.Minute-time.Millisecond, &info)
	if m := known(); !m.LastSeenAt.Equal(began) || newest() != written {
		t.Errorf("a machine that was seen %v ago was written anew", m.LastSeenAt.Sub(began))
	}
	seen(time.Second, &directory.MachineInfo{HWID: "h", Hostname: "renamed"})
	if m := known(); m.Name != "renamed" {
		t.Errorf("its new name is not known: %q", m.Name)
	}
	seen(2*time.Minute, nil)
	if m := known(); !m.LastSeenAt.Equal(began.Add(2*time.Minute)) || m.Name != "renamed" {
		t.Errorf("last seen %v after it was enrolled, as %q", m.LastSeenAt.Sub(began), m.Name)
	}
}

func TestAFullStoreRefusesWhatIsNewAndGoesOnDeleting(t *testing.T) {
	d := openOn(t, dial(t, newStore(t)), func(c *Config) { c.BucketBytes = 64 << 10 })
	acc := addAccount(t, d, "key")
	var ids []string
	for n := range 1000 {
		e := directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest(), Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}}
		a := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]
		if a.Verdict == directory.Unavailable {
			break
		}
		ids = append(ids, a.Machine.ID)
	}
	if len(ids) < 50 || len(ids) == 1000 {
		t.Fatalf("%d machines fit", len(ids))
	}
	for _, id := range ids[:20] {
		if err := d.Machines().Delete(t.Context(), id); err != nil {
			t.Fatalf("deleting from a full store: %v", err)
		}
	}
	if err := d.Machines().Seen(t.Context(), []directory.Seen{{MachineID: ids[30], At: time.Now()}}); !errors.Is(err, directory.ErrFull) {
		t.Errorf("news for a full store: %v", err)
	}
}

func TestMachinesAreListedInPages(t *testing.T) {
	d := newDirectory(t)
	acc, other := addAccount(t, d, "key"), addAccount(t, d, "other")
	var want []string
	for n := range 25 {
		id := enrolled(t, d, directory.Enrolment{AccountID: acc, Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}})
		enrolled(t, d, directory.Enrolment{AccountID: other, Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}})
		want = append(want, id)
	}
	slices.Sort(want)
	if err := d.Machines().Delete(t.Context(), want[3]); err != nil {
		t.Fatal(err)
	}
	gone, err := d.Machines().List(t.Context(), directory.MachineFilter{Deleted: true})
	if err != nil || len(gone) != 1 || gone[0].ID != want[3] {
		t.Errorf("the deleted machines are %v (%v)", gone, err)
	}
	want = slices.Delete(want, 3, 4)
	var got []string
	f := directory.MachineFilter{AccountID: acc, Limit: 10}
	for {
		page, err := d.Machines().List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			got = append(got, m.ID)
		}
		f.After = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestAClosedDirectoryKnowsNothing(t *testing.T) {
	d := newDirectory(t)
	acc := addAccount(t, d, "key")
	ended := make(chan error, 1)
	go func() { ended <- d.Accounts().Watch(t.Context(), func(directory.Event) {}) }()
	d.Close()
	if err := <-ended; !errors.Is(err, feed.ErrClosed) {
		t.Errorf("watching ended with %v", err)
	}
	if v := d.Accounts().Check(t.Context(), []string{acc})[0].Verdict; v != directory.Unavailable {
		t.Errorf("an account of a closed directory is %v", v)
	}
	if _, err := d.Accounts().ListAccounts(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("listing a closed directory: %v", err)
	}
}

func enrolled(t testing.TB, d *Directory, e directory.Enrolment) string {
	t.Helper()
	a := d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]
	if a.Verdict != directory.Found {
		t.Fatalf("enrolling %+v: %v", e.Info, a.Verdict)
	}
	if !strings.HasPrefix(a.Machine.ID, "mch_"+installation+"_") || len(a.Machine.ID) != 4+8+1+16 {
		t.Fatalf("%q is no machine id", a.Machine.ID)
	}
	return a.Machine.ID
}

func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestAMachineThatCameAndWentElsewhereIsReported(t *testing.T) {
	s := newStore(t)
	here, there := openOn(t, dial(t, s)), openOn(t, dial(t, s))
	acc := addAccount(t, here, "key")
	events := directorytest.Watch(t, there.Machines().Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	for n := range 50 {
		id := enrolled(t, here, directory.Enrolment{AccountID: acc, Info: &directory.MachineInfo{HWID: fmt.Sprint(n)}})
		if err := here.Machines().Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
	}
}
