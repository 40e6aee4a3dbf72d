package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// benchRows is how many accounts the benchmarks' database has.
const benchRows = 100_000

func newBench(b *testing.B) (*world, *Directory) {
	w := newWorld(b, "uuid")
	w.do(`insert into "user" select gen_random_uuid(), 'flk_' || n from generate_series(1, $1) n`, benchRows)
	w.do(`analyze "user"`)
	return w, w.open()
}

func BenchmarkLookupOf500KeysAmong100000(b *testing.B) {
	_, d := newBench(b)
	keys := make([]directory.Key, 500)
	for i := range keys {
		keys[i] = directory.Key(fmt.Sprint("flk_", i*197+1))
	}
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		for _, a := range d.Accounts().Lookup(b.Context(), keys) {
			if a.Verdict != directory.Found {
				b.Fatal(a.Verdict)
			}
		}
		times = append(times, time.Since(start))
	}
	report(b, times)
}

func BenchmarkCheckOf10000IDsAmong100000(b *testing.B) {
	_, d := newBench(b)
	list, err := d.Accounts().ListAccounts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var ids []string
	for i := 0; i < len(list); i += len(list) / 10000 {
		ids = append(ids, list[i].ID)
	}
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		for _, a := range d.Accounts().Check(b.Context(), ids) {
			if a.Verdict != directory.Found {
				b.Fatal(a.Verdict)
			}
		}
		times = append(times, time.Since(start))
	}
	report(b, times)
}

// BenchmarkDeletion is from before the DELETE is sent to the event.
func BenchmarkDeletion(b *testing.B) {
	w, d := newBench(b)
	list, err := d.Accounts().ListAccounts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	heard := make(chan string, 1)
	record(b, func(ctx context.Context, _ func(directory.Event)) error {
		return d.Accounts().Watch(ctx, func(e directory.Event) {
			if e.Kind == directory.Gone {
				heard <- e.ID
			}
		})
	})
	var times []time.Duration
	for b.Loop() {
		id := list[0].ID
		list = list[1:]
		start := time.Now()
		w.do(`delete from "user" where id = $1::text::uuid`, id)
		if got := <-heard; got != id {
			b.Fatalf("heard of %s", got)
		}
		times = append(times, time.Since(start))
	}
	report(b, times)
}

func report(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}
