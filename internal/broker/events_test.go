package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/fleetline/fleetline/api"
)

func openEvents(t *testing.T, b *Broker) *Events {
	t.Helper()
	e, err := OpenEvents(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func connected(machine string) api.Event {
	return api.Event{Type: api.MachineConnected, Time: time.Now().UTC(), MachineID: machine}
}

// readEvents reads n events after an id.
func readEvents(t *testing.T, e *Events, id string, n int) []api.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := e.After(ctx, id)
	if err != nil {
		t.Fatalf("after %q: %v", id, err)
	}
	var all []api.Event
	for len(all) < n {
		found, err := r.Next(ctx)
		if err != nil || len(found) == 0 {
			t.Fatalf("after %q: %d of %d events and %v", id, len(all), n, err)
		}
		all = append(all, found...)
	}
	return all
}

func TestEventsAreReadFromAnyIDAndOutliveARestart(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	e := openEvents(t, b.Broker)
	const n = 500
	for i := range n {
		e.Tell(connected(fmt.Sprintf("mch_%d", i%7)))
	}
	e.Close() // stores what waits
	b.stop()
	b = open(t, c)
	e = openEvents(t, b.Broker)
	defer e.Close()
	all := readEvents(t, e, "0", n)
	if len(all) != n {
		t.Fatalf("got %d events, want %d", len(all), n)
	}
	last := map[string]time.Time{}
	for _, ev := range all {
		if ev.Time.Before(last[ev.MachineID]) {
			t.Fatalf("events of %s are out of order", ev.MachineID)
		}
		last[ev.MachineID] = ev.Time
	}
	for i := 0; i < n-1; i += 37 {
		if got := readEvents(t, e, all[i].ID, n-i-1); got[0].ID != all[i+1].ID || len(got) != n-i-1 {
			t.Errorf("after event %d: %d events from %s on, want %d from %s on", i, len(got), got[0].ID, n-i-1, all[i+1].ID)
		}
	}
	r, err := e.After(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	e.Tell(connected("mch_new"))
	if found, err := r.Next(t.Context()); err != nil || len(found) != 1 || found[0].MachineID != "mch_new" {
		t.Errorf("without an id only what is new comes: %v, %v", found, err)
	}
	for _, id := range []string{"x", "1", "1.1", "-", "1.-1-ff", "0.0-ff", "1.0-x"} {
		if _, err := e.After(t.Context(), id); err != ErrEventID {
			t.Errorf("id %q: got %v", id, err)
		}
	}
}

// lateRecords counts records whose storing nobody answered in time. They may have been stored.
type lateRecords struct{ atomic.Int64 }

func (l *lateRecords) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("storing events")) {
		l.Add(1)
	}
	return len(line), nil
}

func TestTellingNeverWaitsAndWhatIsLostIsCounted(t *testing.T) {
	c, late := testConfig(t.TempDir()), &lateRecords{}
	c.Logger = slog.New(slog.NewTextHandler(late, nil))
	b := open(t, c)
	e := openEvents(t, b.Broker)
	defer e.Close()
	const n = 3 * eventQueue
	e.acks.mu.Lock() // nothing is stored meanwhile
	for i := range n {
		e.Tell(connected(fmt.Sprintf("mch_%d", i)))
	}
	e.acks.mu.Unlock()
	var got, lost uint64
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := e.After(ctx, "0")
	if err != nil {
		t.Fatal(err)
	}
	for got+lost < n {
		found, err := r.Next(ctx)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("%d events came, %d were told lost, of %d; %v", got, lost, n, err)
		}
		for _, ev := range found {
			lost += ev.Lost
			if ev.Type != api.EventsLost {
				got++
			}
		}
	}
	// What a late record holds counts as lost, and may have come.
	if exact := late.Load() == 0; lost == 0 || exact && (got+lost != n || lost != uint64(e.lost.Load())) {
		t.Errorf("%d events came, %d were told lost and %d counted, of %d", got, lost, e.lost.Load(), n)
	}
}

// TestAnEventIsWrittenAsTheEncoderWritesIt lies inside the package because readers cannot tell how their
// events were written.
func TestAnEventIsWrittenAsTheEncoderWritesIt(t *testing.T) {
	texts := []string{"", "a", `say "no"`, `back\slash`, "<b>&", "ü\u2028\u0000\x7f", "\xff"}
	for range 1000 {
		var ev api.Event
		for field := range reflect.TypeFor[api.Event]().NumField() {
			switch v := reflect.ValueOf(&ev).Elem().Field(field); v.Kind() {
			case reflect.String:
				v.SetString(texts[rand.IntN(len(texts))])
			case reflect.Int:
				v.SetInt(rand.Int64N(3) * 2000)
			case reflect.Uint64:
				v.SetUint(uint64(rand.IntN(2)) * rand.Uint64())
			default:
				v.Set(reflect.ValueOf(time.Unix(rand.Int64N(1<<33), rand.Int64N(2)*rand.Int64N(1e9)).UTC()))
			}
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		err := enc.Encode(ev)
		if got := string(appendEvent(nil, ev)) + "\n"; err != nil || got != want.String() {
			t.Fatalf("got %s, want %s, %v", got, &want, err)
		}
	}
}

func TestEventsThatAreGoneAndAnotherHistoryAreTold(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	e := openEvents(t, b.Broker)
	defer e.Close()
	var ids []string
	for i := range 4 {
		e.Tell(connected(fmt.Sprint("mch_", i)))
		ids = append(ids, readEvents(t, e, "0", i+1)[i].ID)
	}
	s, err := b.engine.js.Stream(t.Context(), eventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(4)); err != nil {
		t.Fatal(err)
	}
	got := readEvents(t, e, ids[0], 2)
	if got[0].Type != api.EventsLost || got[0].Lost != 2 || got[0].ID != "" || got[1].ID != ids[3] {
		t.Errorf("two events are gone, got %+v", got)
	}
	// The same position in another history: the record there was stored at another time.
	elsewhere, _, _ := strings.Cut(ids[3], "-")
	got = readEvents(t, e, fmt.Sprintf("%s-%x", elsewhere, time.Now().Add(-time.Hour).UnixNano()), 2)
	if got[0].Type != api.EventsLost || got[1].ID != ids[3] {
		t.Errorf("an id of another history, got %+v", got)
	}
}

func TestADeletionThatSeveralNodesTellIsOneEvent(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	one, other := openEvents(t, b.Broker), openEvents(t, b.Broker)
	defer one.Close()
	defer other.Close()
	at := time.Now().UTC().Truncate(time.Minute)
	for _, e := range []*Events{one, other} {
		e.Tell(connected("mch_a"))
		e.Tell(api.Event{Type: api.MachineDeleted, Time: at, MachineID: "mch_a"})
		readEvents(t, e, "0", 2) // stored, before the next tells
	}
	one.Tell(connected("mch_b"))
	deaths := 0
	for _, ev := range readEvents(t, one, "0", 4) {
		if ev.Type == api.MachineDeleted {
			deaths++
		}
	}
	if deaths != 1 {
		t.Errorf("the deletion is told %d times", deaths)
	}
	found, since, err := one.OfMachine(t.Context(), "mch_a")
	if err != nil || len(found) != 3 || since.IsZero() {
		t.Errorf("of the machine: %+v since %v, %v", found, since, err)
	}
}

// BenchmarkTell is what an event costs, its storing included.
func BenchmarkTell(b *testing.B) {
	h := open(b, testConfig(b.TempDir()))
	e, err := OpenEvents(b.Context(), h.Broker)
	if err != nil {
		b.Fatal(err)
	}
	ev := connected("")
	for i := range b.N {
		ev.MachineID = fmt.Sprintf("mch_%d", i%15000)
		e.Tell(ev)
	}
	e.Close()
}

// BenchmarkEventsOfACrowd tells of 400 machines, up to the records that are stored.
func BenchmarkEventsOfACrowd(b *testing.B) {
	var crowd []api.Event
	for i := range 400 {
		crowd = append(crowd, api.Event{
			Type: api.MachineConnected, Time: time.Now().UTC(), Node: "node_abcdefgh", MachineID: fmt.Sprintf("mch_abcdefgh_%016d", i),
			AccountID: "acc_abcdefghijklmnop", SessionID: fmt.Sprintf("ses_%013d", i), Address: "192.0.2.200",
		})
	}
	q := newEventRecords()
	b.ReportAllocs()
	for b.Loop() {
		for _, ev := range crowd {
			q.add(ev)
		}
		for _, r := range q.take() {
			q.release(r)
		}
	}
}
