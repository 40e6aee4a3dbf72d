package embedded

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/nats-io/nats.go/jetstream"
)

// An earlier version kept news under keys of their own. What such a store says is read, is not lost
// when the machine's record is written anew, and does not come back over later news.
func TestNewsOfAnEarlierVersionAreKept(t *testing.T) {
	js := dial(t, newStore(t))
	openOn(t, js).Close()
	kv, err := js.KeyValue(t.Context(), machinesBucket)
	if err != nil {
		t.Fatal(err)
	}
	const one, two = "mch_abcdefgh_aaaaaaaaaaaaaaaa", "mch_abcdefgh_bbbbbbbbbbbbbbbb"
	slot := func(hwid, id string) (key, text string) {
		return longSlotKey("acc", hwid), fmt.Sprintf(`{"account":"acc","hwid":%q,"lives":[{"id":%q,"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",`+
			`"info":{"hostname":"old","os":"linux","arch":"arm64","cpuCores":4,"ramBytes":1024,"hwid":%q,"version":"1"},"enrolledAt":"2024-01-01T00:00:00.5Z"}]}`, hwid, id, hwid)
	}
	put := func(key, text string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("seen."+one, `{"at":"2024-02-01T00:00:00.123456789Z"}`) // its slot was written after it
	put(slot("h1", one))
	put(slot("h2", two))
	put("seen."+two, `{"at":"2024-03-01T00:00:00Z","info":{"hostname":"new","os":"linux","arch":"arm64","cpuCores":4,"ramBytes":1024,"hwid":"h2","version":"2"}}`)

	moment := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	expect := func(d *Directory, id, seen, host string) {
		t.Helper()
		m := d.Machines().Check(t.Context(), []string{id})[0].Machine
		if !m.LastSeenAt.Equal(moment(seen)) || m.Name != host || m.Info.OS != "linux" {
			t.Errorf("%s was seen at %v as %q, want %s as %q", id, m.LastSeenAt, m.Name, seen, host)
		}
	}
	d := openOn(t, js)
	expect(d, one, "2024-02-01T00:00:00.123456789Z", "old")
	expect(d, two, "2024-03-01T00:00:00Z", "new")
	news := []directory.Seen{{MachineID: one, At: moment("2024-04-01T00:00:00Z"), Info: &directory.MachineInfo{Hostname: "newer", OS: "linux", HWID: "h1"}}}
	if err := d.Machines().Seen(t.Context(), news); err != nil {
		t.Fatal(err)
	}
	if err := d.Machines().Delete(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and after a restart
		expect(d, one, "2024-04-01T00:00:00Z", "newer")
		expect(d, two, "2024-03-01T00:00:00Z", "new")
		expectVerdicts(t, d.Machines().Check(t.Context(), []string{one, two}), directory.Found, directory.Deleted)
		d.Close()
		d = openOn(t, js)
	}
	if n := len(d.machines.book.early); n != 0 {
		t.Errorf("news of %d machines are kept beside their slots", n)
	}
}

// A store of an earlier version: machines stay under their keys, whatever happens to them, and no hwid
// is enrolled twice.
func TestMachinesOfAnEarlierVersionStayWhereTheyAre(t *testing.T) {
	js := dial(t, newStore(t))
	openOn(t, js).Close()
	kv, err := js.KeyValue(t.Context(), machinesBucket)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	for _, hwid := range []string{"", "h1", "h2"} {
		r := slotRecord{Account: "acc", HWID: hwid, Lives: []lifeRecord{{ID: "machine " + hwid, EnrolledAt: now}}}
		if _, err := kv.Create(t.Context(), longSlotKey("acc", hwid), encode(r)); err != nil {
			t.Fatal(err)
		}
	}
	d := openOn(t, js)
	enrol := func(hwid, key string) directory.MachineAnswer {
		e := directory.Enrolment{AccountID: "acc", Digest: directory.Key(key).Digest(), Info: &directory.MachineInfo{HWID: hwid}}
		return d.Machines().Enrol(t.Context(), []directory.Enrolment{e})[0]
	}
	for _, hwid := range []string{"", "h1", "h2"} {
		if a := enrol(hwid, "key"); a.Verdict != directory.Found || a.Machine.ID != "machine "+hwid {
			t.Errorf("%q is %v %s", hwid, a.Verdict, a.Machine.ID)
		}
	}
	news := []directory.Seen{{MachineID: "machine h1", At: now, Info: &directory.MachineInfo{HWID: "h1", Hostname: "renamed"}}}
	if err := d.Machines().Seen(t.Context(), news); err != nil {
		t.Fatal(err)
	}
	if err := d.Machines().Delete(t.Context(), "machine h2"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and after a restart
		if a := enrol("h2", "key"); a.Verdict != directory.Deleted || a.Machine.ID != "machine h2" {
			t.Errorf("the deleted machine is %v %s", a.Verdict, a.Machine.ID)
		}
		if a := enrol("h1", "key"); a.Verdict != directory.Found || a.Machine.Name != "renamed" {
			t.Errorf("the other is %v %s", a.Verdict, a.Machine.Name)
		}
		d.Close()
		d = openOn(t, js)
	}
	if a := enrol("h2", "another"); a.Verdict != directory.Found || a.Machine.ID == "machine h2" {
		t.Errorf("with another key it is %v %s", a.Verdict, a.Machine.ID)
	}
	if n := keys(t, kv); n != 3 {
		t.Errorf("three machines have %d keys", n)
	}
	enrol("h3", "key")
	if _, err := kv.Get(t.Context(), slotKey("acc", "h3")); err != nil {
		t.Errorf("a new machine: %v", err)
	}
}

// A record that was removed by hand leaves a mark, over which a new one is written.
func TestAMachineWhoseRecordWasRemovedIsEnrolledAnew(t *testing.T) {
	js := dial(t, newStore(t))
	d := openOn(t, js)
	e := directory.Enrolment{AccountID: "acc", Info: &directory.MachineInfo{HWID: "h"}}
	id := enrolled(t, d, e)
	kv, err := js.KeyValue(t.Context(), machinesBucket)
	if err == nil {
		err = kv.Delete(t.Context(), slotKey("acc", "h"))
	}
	if err == nil {
		err = d.machines.bucket.sync(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	expectVerdicts(t, d.Machines().Check(t.Context(), []string{id}), directory.NotFound)
	for range 2 {
		if anew := enrolled(t, d, e); anew == id {
			t.Error("it is the machine that was removed")
		}
		d.Close()
		d = openOn(t, js)
	}
}

// News, deletions and changes of the key meet in one record, from several nodes: nothing is undone.
func TestNewsFromSeveralNodesUndoNothing(t *testing.T) {
	s := newStore(t)
	nodes := []*Directory{openOn(t, dial(t, s)), openOn(t, dial(t, s))}
	e := directory.Enrolment{AccountID: "a row elsewhere", Digest: directory.Key("0").Digest(), Info: &directory.MachineInfo{HWID: "h"}}
	id := enrolled(t, nodes[0], e)
	began := time.Now()
	for round := range 20 {
		for _, d := range nodes { // each knows the machine, and what the round before made of it
			if err := d.machines.bucket.sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var work sync.WaitGroup
		for i, d := range nodes {
			work.Go(func() {
				at := began.Add(time.Duration(2*round+i+1) * seenWithin)
				news := directory.Seen{MachineID: id, At: at}
				if i == 0 {
					news.Info = &directory.MachineInfo{HWID: "h", Hostname: fmt.Sprint(round)}
				}
				if err := d.Machines().Seen(t.Context(), []directory.Seen{news}); err != nil {
					t.Errorf("storing news: %v", err)
				}
			})
		}
		e.Digest = directory.Key(fmt.Sprint(round)).Digest()
		enrolled(t, nodes[round%2], e)
		work.Wait()
	}
	for _, d := range nodes {
		if err := d.machines.bucket.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		in, _ := d.machines.book.holding(id)
		m := d.Machines().Check(t.Context(), []string{id})[0].Machine
		if !m.LastSeenAt.Equal(began.Add(40*seenWithin)) || m.Name != fmt.Sprint(19) || in.Lives[0].Key != digest(e.Digest) {
			t.Errorf("%q was seen %v after it began, and has its last key: %v", m.Name, m.LastSeenAt.Sub(began), in.Lives[0].Key == digest(e.Digest))
		}
	}
	if n := keys(t, nodes[0].machines.bucket.kv); n != 2 {
		t.Errorf("one machine and its page have %d keys", n)
	}
}

// Machines share pages, whatever their ids are; each has its own line.
func TestEachMachineHasItsOwnLineOnAPage(t *testing.T) {
	d := newDirectory(t)
	var news []directory.Seen
	began := time.Now()
	for n := range 3000 {
		id := fmt.Sprint("machine ", n)
		r := slotRecord{Account: "acc", HWID: id, Lives: []lifeRecord{{ID: id, EnrolledAt: began.Add(-time.Hour)}}}
		d.machines.book.apply(r.key(), encode(r), uint64(n+1), false) // not in the store: it is about pages
		news = append(news, directory.Seen{MachineID: id, At: began.Add(time.Duration(n))})
	}
	seen := func(news []directory.Seen) {
		t.Helper()
		if err := d.Machines().Seen(t.Context(), news); err != nil {
			t.Fatal(err)
		}
	}
	seen(news)
	news[7].At = news[7].At.Add(seenWithin)
	seen(news[:1000]) // all but one are no news
	for _, n := range news {
		if m := d.machines.book.check(n.MachineID).Machine; !m.LastSeenAt.Equal(n.At) {
			t.Fatalf("%s was seen %v after it began, want %v", n.MachineID, m.LastSeenAt.Sub(began), n.At.Sub(began))
		}
	}
	if n := keys(t, d.machines.bucket.kv); n > 1<<pageBits {
		t.Errorf("there are %d pages", n)
	}
	if s, err := d.machines.bucket.kv.Status(t.Context()); err != nil || s.(*jetstream.KeyValueBucketStatus).StreamInfo().State.LastSeq > 1<<pageBits+1 {
		t.Errorf("there were more writes than pages and one: %v", err)
	}
}

func TestAPageThatCannotBeReadIsWrittenAnew(t *testing.T) {
	js := dial(t, newStore(t))
	d := openOn(t, js)
	e := directory.Enrolment{AccountID: "acc", Info: &directory.MachineInfo{HWID: "h"}}
	id := enrolled(t, d, e)
	page, _ := lineOf(id, time.Time{})
	spoil(t, js, machinesBucket, pageKey(page))
	spoil(t, js, machinesBucket, pagePrefix+"none")
	at := time.Now().Add(time.Hour)
	for range 2 { // also by a node that begins with it
		d.Close()
		d = openOn(t, js)
		if err := d.Machines().Seen(t.Context(), []directory.Seen{{MachineID: id, At: at}}); err != nil {
			t.Fatal(err)
		}
		if m := d.Machines().Check(t.Context(), []string{id})[0].Machine; !m.LastSeenAt.Equal(at) {
			t.Errorf("it was seen at %v, want %v", m.LastSeenAt, at)
		}
	}
}

func keys(t *testing.T, kv jetstream.KeyValue) int {
	t.Helper()
	all, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
