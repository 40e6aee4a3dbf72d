package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

var payload = text("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456")

func benchConfig(b *testing.B) Config {
	c := testConfig(b.TempDir())
	c.MaxBytes, c.leaseGap = 0, time.Second
	return c
}

// BenchmarkPublishToTail is one message at a time, from the call to the tail.
func BenchmarkPublishToTail(b *testing.B) {
	log, err := Open(b.Context(), benchConfig(b))
	if err != nil {
		b.Fatal(err)
	}
	arrived := make(chan time.Time, 1)
	var tail sync.WaitGroup
	tail.Go(func() {
		_ = log.Tail(context.Background(), func(e *Entry) {
			if e.Kind == Data {
				arrived <- time.Now()
			}
		})
	})
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := log.Publish(b.Context(), Message{Target: Target{Machine: "mch_a"}, Data: payload}); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
	tail.Wait()
}

// BenchmarkPublishAsync publishes with many outstanding while the tail listens.
func BenchmarkPublishAsync(b *testing.B) {
	log := open(b, benchConfig(b))
	line := make(chan *Pending, 1024)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for p := range line {
			if _, err := p.Wait(context.Background()); err != nil {
				b.Error(err)
			}
		}
	})
	for b.Loop() {
		p, err := log.PublishAsync(b.Context(), Message{Target: Target{Machine: "mch_a"}, Data: payload})
		if err != nil {
			b.Fatal(err)
		}
		line <- p
	}
	close(line)
	waiting.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.StopTimer()
	log.upTo(log.end())
}

// BenchmarkPublishSynced is one message at a time with every publish synced to the disk.
func BenchmarkPublishSynced(b *testing.B) {
	c := benchConfig(b)
	c.SyncAlways = true
	log := open(b, c)
	for b.Loop() {
		log.publish(Message{Target: Target{Machine: "mch_a"}, Data: payload})
	}
}

// filled is a window with n messages spread over machines.
func filled(n, machines int) (w *window, to []Target) {
	w = newWindow(1 << 30)
	w.reset(0, 0)
	for i := range machines {
		to = append(to, Target{Machine: fmt.Sprint("m", i), Account: fmt.Sprint("a", i%100)})
	}
	for i := range n {
		w.append(newData(record{seq: uint64(i + 1), data: payload}, Target{Machine: to[i%machines].Machine}))
	}
	return w, to
}

// BenchmarkRecentNothingNew is 10,000 sessions that ask and have everything.
func BenchmarkRecentNothingNew(b *testing.B) {
	w, to := filled(100_000, 10_000)
	buf := make([]*Entry, 0, 16)
	for i := 0; b.Loop(); i++ {
		// At a position below the head, so that the index is asked.
		if got, _, ok := w.recent(to[i%len(to)], 99_999, 1<<20, buf[:0]); !ok || len(got) > 1 {
			b.Fatal(len(got), ok)
		}
	}
}

// BenchmarkRecentNothingNewParallel is the same from every core while the tail appends.
func BenchmarkRecentNothingNewParallel(b *testing.B) {
	w, to := filled(100_000, 10_000)
	stop := make(chan struct{})
	var appending sync.WaitGroup
	appending.Go(func() {
		for seq := uint64(100_001); ; seq++ {
			select {
			case <-stop:
				return
			default:
				w.append(newData(record{seq: seq, data: payload}, Target{Machine: "busy"}))
			}
		}
	})
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]*Entry, 0, 16)
		for i := 0; pb.Next(); i++ {
			w.recent(to[i%len(to)], 100_000, 1<<20, buf[:0])
		}
	})
	close(stop)
	appending.Wait()
}

// BenchmarkReplay brings one session of 10,000 its ten messages out of 100,000.
func BenchmarkReplay(b *testing.B) {
	w, to := filled(100_000, 10_000)
	buf := make([]*Entry, 0, 16)
	for i := 0; b.Loop(); i++ {
		if got, _, ok := w.recent(to[i%len(to)], 0, 1<<20, buf[:0]); !ok || len(got) != 10 {
			b.Fatal(len(got), ok)
		}
	}
}

// BenchmarkAppend is what the tail pays for a message, decoding and preparing included.
func BenchmarkAppend(b *testing.B) {
	w := newWindow(64 << 20)
	w.reset(0, 0)
	subject := life{Epoch: "abcdefgh"}.subject(Target{Machine: "mch_abcdefgh_0123456789"}.suffix())
	b.ReportAllocs()
	for seq := uint64(1); b.Loop(); seq++ {
		e, err := decode(record{subject: subject, seq: seq, data: payload}, "abcdefgh")
		if err != nil {
			b.Fatal(err)
		}
		w.append(e)
	}
}

// BenchmarkRead1000 reads the log below the window for 1,000 machines at once.
func BenchmarkRead1000(b *testing.B) {
	c := benchConfig(b)
	c.WindowBytes = 1
	log := open(b, c)
	before := log.publish(Message{Data: payload})
	var last Receipt
	var line []*Pending
	for i := range 10 {
		for m := range 1000 {
			p, err := log.PublishAsync(b.Context(), Message{Target: Target{Machine: fmt.Sprint("m", m)}, Data: payload})
			if err != nil {
				b.Fatal(i, err)
			}
			line = append(line, p)
		}
	}
	for _, p := range line {
		r, err := p.Wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		last = r
	}
	log.upTo(last.Seq)
	read := func(b *testing.B, after uint64, want int) {
		reqs := make([]Request, 1000)
		for m := range reqs {
			reqs[m] = Request{Target{Machine: fmt.Sprint("m", m), Account: fmt.Sprint("a", m)}, after, 64 << 10}
		}
		for b.Loop() {
			for m, r := range log.Read(b.Context(), reqs) {
				if r.Err != nil || len(r.Entries) != want {
					b.Fatalf("machine %d: %d entries, %v", m, len(r.Entries), r.Err)
				}
			}
		}
	}
	b.Run("nothing new", func(b *testing.B) { read(b, last.Seq, 0) })
	b.Run("10 messages each", func(b *testing.B) { read(b, before.Seq, 10) })
}

// BenchmarkReplayLog reads 100,000 messages of one machine from the log in pieces.
func BenchmarkReplayLog(b *testing.B) {
	c := benchConfig(b)
	c.WindowBytes = 1
	log := open(b, c)
	const messages = 100_000
	var line []*Pending
	for range messages {
		p, err := log.PublishAsync(b.Context(), Message{Target: Target{Machine: "m"}, Data: payload})
		if err != nil {
			b.Fatal(err)
		}
		line = append(line, p)
	}
	for _, p := range line {
		if _, err := p.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		for after := uint64(0); n < messages; {
			r := log.Read(b.Context(), []Request{{Target{Machine: "m"}, after, 256 << 10}})[0]
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			n, after = n+len(r.Entries), r.Reached
		}
	}
	b.ReportMetric(messages*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkOpen is a first start.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		log, err := Open(b.Context(), benchConfig(b))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := log.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
