package admin

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
)

// BenchmarkPublish is one durable message to one machine over loopback, end to end, from one caller
// that waits for each.
func BenchmarkPublish(b *testing.B) {
	d := openDoor(b)
	id := d.enrol(d.account(), "h1")[0]
	m := api.Message{To: to(id), Data: []byte(`{"load1":0.5,"memUsedBytes":123456789}`)}
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if _, err := d.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	reportQuantiles(b, took)
}

// BenchmarkPublishStream is the same message on one stream that is never waited for.
func BenchmarkPublishStream(b *testing.B) {
	d := openDoor(b)
	id := d.enrol(d.account(), "h1")[0]
	s := d.stream()
	m := api.Message{To: to(id), Data: []byte(`{"load1":0.5,"memUsedBytes":123456789}`)}
	b.ReportAllocs()
	b.ResetTimer()
	var sending sync.WaitGroup
	sending.Go(func() {
		for range b.N {
			s.send(m)
		}
		s.CloseSend()
	})
	for range b.N {
		if r := s.receive(); r.Error != nil {
			b.Fatal(r.Err())
		}
	}
	sending.Wait()
}

// BenchmarkDelete is one deletion of a machine over loopback, until the answer.
func BenchmarkDelete(b *testing.B) {
	d := openDoor(b)
	k := d.account()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		id := d.enrol(k, time.Now().String())[0]
		b.StartTimer()
		began := time.Now()
		if err := d.DeleteMachine(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	reportQuantiles(b, took)
}

func reportQuantiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for name, q := range map[string]float64{"p50-µs": 0.5, "p99-µs": 0.99} {
		b.ReportMetric(float64(took[int(q*float64(len(took)-1))].Microseconds()), name)
	}
}
