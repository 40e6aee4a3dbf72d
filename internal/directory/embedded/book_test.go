package embedded

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"pgregory.net/rapid"
)

func quietLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func accountWith(keys ...keyRecord) []byte {
	return encode(accountRecord{CreatedAt: time.Now(), Keys: keys})
}

func TestAnOldKeyOpensToTheMomentItsGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAccountBook(quietLogger())
		defer b.close()
		old, fresh := directory.Key("old"), directory.Key("new")
		keys := rotated([]keyRecord{{Digest: digest(old.Digest())}}, fresh, time.Now(), time.Hour)
		b.apply("acc", accountWith(keys...), 1, false)
		time.Sleep(time.Hour - time.Nanosecond)
		for _, k := range []directory.Key{old, fresh} {
			if v := b.lookup(k.Digest()).Verdict; v != directory.Found {
				t.Errorf("the %s key is %v just before the end", string(k), v)
			}
		}
		if n := len(b.check("acc").Account.Digests); n != 2 {
			t.Errorf("%d keys open the account", n)
		}
		time.Sleep(time.Nanosecond)
		if v := b.lookup(old.Digest()).Verdict; v != directory.NotFound {
			t.Errorf("the old key is %v at the end", v)
		}
		if a := b.check("acc").Account; !slices.Equal(a.Digests, []directory.Digest{fresh.Digest()}) {
			t.Errorf("%d keys open the account at the end", len(a.Digests))
		}
	})
}

func TestTheEndOfAGraceIsReportedAtThatMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAccountBook(quietLogger())
		defer b.close()
		start := time.Now()
		until := func(d time.Duration) keyRecord {
			return keyRecord{Digest: digest(directory.Key(d.String()).Digest()), Until: start.Add(d)}
		}
		current := keyRecord{Digest: digest(directory.Key("now").Digest())}
		// As after a restart: the records are read, with graces that are still running.
		b.apply("slow", accountWith(current, until(time.Hour)), 1, false)
		b.apply("fast", accountWith(current, until(time.Minute)), 2, false)
		b.apply("gone", accountWith(current, until(time.Second)), 3, false)
		b.apply("gone", encode(accountRecord{CreatedAt: start, DeletedAt: start}), 4, false)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		type report struct {
			directory.Event
			after time.Duration
		}
		var got []report
		go func() {
			_ = b.feed.Watch(ctx, context.Background(), func(e directory.Event) { got = append(got, report{e, time.Since(start)}) })
		}()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		stop()
		synctest.Wait()
		want := []report{
			{directory.Event{Kind: directory.Changed, ID: "fast"}, time.Minute},
			{directory.Event{Kind: directory.Changed, ID: "slow"}, time.Hour},
		}
		if len(got) != 3 || !slices.Equal(got[1:], want) {
			t.Errorf("reported %v, want the state and %v", got, want)
		}
	})
}

func TestRotatingWithoutGraceEndsEveryOtherKey(t *testing.T) {
	now := time.Now()
	keys := []keyRecord{{Digest: digest{1}}, {Digest: digest{2}, Until: now.Add(time.Hour)}, {Digest: digest{3}, Until: now}}
	if got := rotated(keys, "new", now, 0); len(got) != 1 {
		t.Errorf("%d keys are left", len(got))
	}
	got := rotated(keys, "new", now, time.Minute)
	if len(got) != 3 || !got[1].Until.Equal(now.Add(time.Minute)) || !got[2].Until.Equal(now.Add(time.Minute)) {
		t.Errorf("with a minute's grace there are %d keys: %v", len(got), got)
	}
}

func TestALateRecordUndoesNothing(t *testing.T) {
	accounts := newAccountBook(quietLogger())
	exists := accountWith(keyRecord{Digest: digest{1}})
	accounts.apply("acc", exists, 1, false)
	accounts.apply("acc", encode(accountRecord{CreatedAt: time.Now(), DeletedAt: time.Now()}), 3, false)
	accounts.apply("acc", exists, 2, false)
	if v := accounts.check("acc").Verdict; v != directory.Deleted {
		t.Errorf("the account is %v", v)
	}
	machines := newMachineBook(quietLogger())
	r := slotRecord{Account: "acc", Lives: []lifeRecord{{ID: "m", EnrolledAt: time.Now()}}}
	machines.apply(r.key(), encode(r), 1, false)
	machines.apply(r.key(), encode(r.with(0, func(l *lifeRecord) { l.DeletedAt = time.Now() })), 3, false)
	machines.apply(r.key(), encode(r), 2, false)
	if v := machines.check("m").Verdict; v != directory.Deleted {
		t.Errorf("the machine is %v", v)
	}
}

// The rules of enrolment against a model that remembers everything, for one hwid and one default
// machine of an account that is kept elsewhere.
func TestEnrolmentFollowsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		book := newMachineBook(quietLogger())
		m := &Machines{book: book, accounts: newAccountBook(quietLogger()), installation: installation}
		living := map[string]string{}                     // machine by hwid
		under := map[string]map[string]directory.Digest{} // deleted machines by hwid, with their key
		last := map[string]directory.Digest{}
		revision := uint64(0)
		store := func(r slotRecord) {
			revision++
			book.apply(r.key(), encode(r), revision, false)
		}
		hwids := []string{"", "box"}
		for _, h := range hwids {
			under[h] = map[string]directory.Digest{}
		}
		enrol := func(t *rapid.T) {
			h := rapid.SampledFrom(hwids).Draw(t, "hwid")
			d := directory.Digest{byte(rapid.IntRange(1, 3).Draw(t, "key"))}
			e := directory.Enrolment{AccountID: "acc", Digest: d}
			if h != "" {
				e.Info = &directory.MachineInfo{HWID: h}
			}
			isRefused := false
			for _, k := range under[h] {
				isRefused = isRefused || k == d
			}
			got := m.decide(e)
			for range 2 {
				if got.isWrite {
					store(got.next)
					got = m.decide(e)
				}
			}
			if isRefused && (h == "" || living[h] == "") {
				if k, known := under[h][got.answer.Machine.ID]; got.answer.Verdict != directory.Deleted || !known || k != d {
					t.Fatalf("a deleted machine is %v", got.answer.Verdict)
				}
				return
			}
			id := got.answer.Machine.ID
			if got.answer.Verdict != directory.Found || living[h] != "" && living[h] != id || under[h][id] != (directory.Digest{}) {
				t.Fatalf("a machine that may come is %v %q, the living one is %q", got.answer.Verdict, id, living[h])
			}
			living[h], last[id] = id, d
		}
		remove := func(t *rapid.T) {
			h := rapid.SampledFrom(hwids).Draw(t, "hwid")
			id := living[h]
			if id == "" {
				return // nobody is there to be removed
			}
			in, _ := book.holding(id)
			store(in.with(in.find(id), func(l *lifeRecord) { l.DeletedAt, l.Under = time.Now(), []digest{l.Key} }))
			under[h][id], living[h] = last[id], ""
		}
		t.Repeat(map[string]func(*rapid.T){"enrol": enrol, "remove": remove})
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(accountWith(keyRecord{Digest: digest{1}}, keyRecord{Digest: digest{2}, Until: time.Unix(1, 0)}))
	r := slotRecord{Account: "acc", HWID: "h", Lives: []lifeRecord{{ID: "m", EnrolledAt: time.Unix(1, 0), Under: []digest{{1}}}}}
	f.Add(encode(r))
	f.Add(encode(seenRecord{At: time.Unix(1, 0), Info: &directory.MachineInfo{Hostname: "h"}}))
	f.Add(encodePage([]seenLine{{1, 2}, {3, 4}}))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		accounts, machines := newAccountBook(quietLogger()), newMachineBook(quietLogger())
		defer accounts.close()
		accounts.apply("acc", value, 1, false)
		machines.apply(r.key(), value, 1, false)
		machines.apply(seenPrefix+"m", value, 2, false)
		machines.apply(pageKey(7), value, 3, false)
		if v := accounts.check("acc").Verdict; v == directory.NotFound && value != nil {
			t.Error("a record that is there is not found")
		}
		if s, err := parseSlot(r.key(), value); err == nil {
			again, err := parseSlot(r.key(), encode(s))
			if err != nil || !reflect.DeepEqual(again.Lives[0].ID, s.Lives[0].ID) {
				t.Errorf("written and read again: %v", err)
			}
		}
	})
}
