package embedded

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"pgregory.net/rapid"
)

func TestWhatIsPackedIsUnpackedAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(what string) string {
			return strings.Repeat(rapid.String().Draw(t, what), rapid.IntRange(1, 9).Draw(t, "times"))
		}
		moment := func(what string) time.Time {
			return time.Unix(rapid.Int64Range(-1<<38, 1<<38).Draw(t, what), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		}
		d := func() (d digest) {
			copy(d[:], rapid.SliceOfN(rapid.Byte(), len(d), len(d)).Draw(t, "digest"))
			return d
		}
		id := func(what string) string {
			return rapid.OneOf(rapid.String(), rapid.StringMatching("[0-9a-f]{0,80}"), rapid.StringMatching("mch_[a-z]{8}_[a-z2-7]{15,17}"),
				rapid.StringMatching("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), rapid.StringMatching("[0-9a-f-]{36}")).Draw(t, what)
		}
		want := slotRecord{Account: text("account"), HWID: id("slot")}
		want.Lives = make([]lifeRecord, rapid.IntRange(1, 5).Draw(t, "lives"))
		for i := range want.Lives {
			l := &want.Lives[i]
			*l = lifeRecord{ID: id("id"), Key: d(), EnrolledAt: moment("enrolled"), Info: directory.MachineInfo{
				Hostname: text("host"), OS: text("os"), Arch: text("arch"), HWID: rapid.OneOf(rapid.Just(want.HWID), rapid.Custom(func(*rapid.T) string { return id("hwid") })).Draw(t, "its hwid"), Version: text("version"),
				CPUCores: rapid.Uint64().Draw(t, "cores"), RAMBytes: rapid.Uint64().Draw(t, "ram"),
			}}
			if rapid.Bool().Draw(t, "seen") {
				l.SeenAt = moment("seen").Truncate(time.Millisecond)
			}
			if rapid.Bool().Draw(t, "deleted") {
				l.DeletedAt = moment("deleted")
			}
			for range rapid.IntRange(0, 3).Draw(t, "under") {
				l.Under = append(l.Under, d())
			}
		}
		w, h := newWords(), &house{account: want.Account}
		for range rapid.IntRange(0, maxWords).Draw(t, "words") {
			w.number(rapid.String().Draw(t, "word"))
		}
		if got := w.unpack(h, w.pack(h, want)); !reflect.DeepEqual(got, want) {
			t.Fatalf("unpacked %+v, want %+v", got, want)
		}
	})
}

func TestAnEmptySlotHasNoRecord(t *testing.T) {
	if r := newMachineBook(quietLogger()).recordLocked(&slot{}); r.Account != "" || len(r.Lives) != 0 {
		t.Errorf("it has %+v", r)
	}
}

// News come before and after the record they are of, with info and without, and stay with the machine
// they are of when another is enrolled in its place.
func TestNewsStayWithTheirMachine(t *testing.T) {
	b := newMachineBook(quietLogger())
	at := func(minute int) time.Time { return time.Date(2020, 1, 1, 0, minute, 0, 0, time.UTC) }
	revision := uint64(0)
	store := func(key string, record any) {
		revision++
		b.apply(key, encode(record), revision, false)
	}
	check := func(id string, seen int, host string) {
		t.Helper()
		m := b.check(id).Machine
		if !m.LastSeenAt.Equal(at(seen)) || m.Info.Hostname != host {
			t.Errorf("%s was seen at %v on %q, want minute %d on %q", id, m.LastSeenAt, m.Info.Hostname, seen, host)
		}
	}
	r := slotRecord{Account: "a", HWID: "h", Lives: []lifeRecord{{ID: "one", EnrolledAt: at(1), Info: directory.MachineInfo{Hostname: "old"}}}}
	store(seenPrefix+"one", seenRecord{At: at(2)})
	store(r.key(), r)
	check("one", 2, "old")
	store(seenPrefix+"one", seenRecord{At: at(4)})
	store(seenPrefix+"one", seenRecord{At: at(3)})
	check("one", 4, "old")
	r = r.with(0, func(l *lifeRecord) { l.DeletedAt = at(5) })
	store(r.key(), r)
	check("one", 4, "old")
	r = r.plus(lifeRecord{ID: "two", EnrolledAt: at(6)})
	store(r.key(), r)
	check("one", 4, "old")
	check("two", 6, "")
	store(seenPrefix+"two", seenRecord{At: at(7)})
	store(seenPrefix+"two", seenRecord{At: at(8), Info: &directory.MachineInfo{Hostname: "new"}})
	store(r.key(), r.with(1, func(l *lifeRecord) { l.Key = digest{1} }))
	check("two", 8, "new")
	check("one", 4, "old")
	store(seenPrefix+"two", seenRecord{At: at(9), Info: &directory.MachineInfo{Hostname: "new"}})
	check("two", 9, "new")
}

// A book has to hold a large fleet: what one of its machines keeps of the heap has a bound.
func TestAMachineInTheBookKeepsFewBytes(t *testing.T) {
	const few, many, bound = 5_000, 20_000, 250
	b := newMachineBook(quietLogger())
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			id, hwid := fmt.Sprintf("mch_abcdefgh_%016d", i), fmt.Sprintf("hwid-%027d", i)
			r := slotRecord{Account: fmt.Sprintf("acc_%016d", i/1000), HWID: hwid, Lives: []lifeRecord{{
				ID: id, EnrolledAt: time.Unix(int64(i), 0).UTC(),
				Info: directory.MachineInfo{Hostname: fmt.Sprint("host-", i), OS: "linux", Arch: "amd64", CPUCores: 8, RAMBytes: 1 << 34, HWID: hwid, Version: "1.2.3"},
			}}}
			b.apply(r.key(), encode(r), uint64(2*i+1), false)
			b.apply(seenPrefix+id, encode(seenRecord{At: time.Unix(int64(i), 1).UTC()}), uint64(2*i+2), false)
		}
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	fill(0, few)
	before := heap()
	fill(few, many)
	if each := (heap() - before) / (many - few); each > bound {
		t.Errorf("a machine keeps %d bytes, want %d at most", each, bound)
	} else {
		t.Logf("a machine keeps %d bytes", each)
	}
	if b.check("mch_abcdefgh_0000000000019999").Verdict != directory.Found {
		t.Error("a machine is not found")
	}
}
