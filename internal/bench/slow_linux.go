package bench

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	// deliveriesPerSecond is a load under which a server is far from its limit.
	deliveriesPerSecond = 50_000
	// mostStopped machines stop to read at once.
	mostStopped = 5000
	// floodBytes bounds what is sent to machines that do not read: the kernel holds it.
	floodBytes = 512 << 20
	stallPart  = 100
)

// slow measures whether machines that do not read are felt by the others, and what they hold of the
// server's memory.
func slow(ctx context.Context, r *run) error {
	stalled := max(1, r.config.Machines/stallPart)
	stopped := stalled + min(mostStopped, r.config.Machines/3)
	accounts := make([]string, 2)
	for i, upTo := range []int{stalled, stopped} {
		id, key, err := r.gateway.account(ctx, "slow")
		if err != nil {
			return err
		}
		accounts[i] = id
		if err := r.enlist(ctx, upTo, key); err != nil {
			return err
		}
	}
	if err := r.enlist(ctx, r.config.Machines, r.key); err != nil {
		return err
	}
	if err := r.stall(ctx, accounts[0], stalled); err != nil {
		return err
	}
	return r.stopReading(ctx, accounts[1], stalled, stopped)
}

// compare notes the others' times with machines that do not read against those without.
func (r *run) compare(prefix, text string, without, with *histogram) {
	r.times(prefix+"without", "message to all, everybody reads:", without, .5, .99)
	r.times(prefix+"with", "message to all, "+text+" do not read, the others:", with, .5, .99)
	r.figure(prefix+"p99Ratio", "p99 of the others with "+text+" against without", "x", float64(with.quantile(.99))/float64(max(1, without.quantile(.99))))
}

// stall compares the others' times before and after the first machines stop to read.
func (r *run) stall(ctx context.Context, account string, n int) error {
	if _, err := r.connect(ctx, 0, n, connecting{Small: true}); err != nil {
		return err
	}
	if _, err := r.connect(ctx, n, r.config.Machines, connecting{}); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	without, err := r.broadcasts(ctx, r.config.Machines)
	if err != nil {
		return err
	}
	if _, err := r.crew.order(ctx, order{Do: doStall, To: n}); err != nil {
		return err
	}
	if err := r.flood(ctx, account, n, 64<<10); err != nil {
		return err
	}
	with, err := r.broadcasts(ctx, r.config.Machines-n)
	if err != nil {
		return err
	}
	r.compare("", "1 %", without, with)
	return r.noteEnded(ctx)
}

// broadcasts offers messages to all at a pace that a server is at ease with.
func (r *run) broadcasts(ctx context.Context, listeners int) (*histogram, error) {
	perSecond := max(1, deliveriesPerSecond/float64(r.config.Machines))
	h, _, err := r.timedLoad(ctx, pacing{
		perSecond: min(perSecond, 20), messages: max(3, int(min(perSecond, 20)*r.config.Duration.Seconds())), size: smallMessage,
		mode: stored, to: func() string { return "" },
	}, listeners, listeners)
	return h, err
}

// flood publishes to an account whose n machines do not read, until all are behind or enough has
// been sent.
func (r *run) flood(ctx context.Context, account string, n, size int) error {
	const metric = "fleetline_session_fell_behind_total"
	before, _, err := r.gateway.metric(ctx, metric)
	if err != nil {
		return err
	}
	data := []byte(`"` + string(bytes.Repeat([]byte("x"), size-256)) + `"`)
	var behind float64
	sent := 0
	for ; sent < floodBytes/(n*size) && behind < float64(n); sent++ {
		if _, err := r.gateway.api.Publish(ctx, api.Message{To: api.Target{Account: account}, Data: data}); err != nil {
			return err
		}
		after, _, err := r.gateway.metric(ctx, metric)
		if err != nil {
			return err
		}
		behind = after - before
	}
	r.note("%d machines that do not read: %.0f fell behind after %s KiB each", n, behind, strconv.Itoa(sent*size>>10))
	return nil
}

// stopReading measures what machines that do not read hold of the server's memory, and whether the
// others feel it. The peak is that of all that goes on meanwhile: machines fall behind, and the others
// are sent messages.
func (r *run) stopReading(ctx context.Context, account string, from, to int) error {
	if err := r.drop(ctx, 0, to); err != nil {
		return err
	}
	if _, err := r.connect(ctx, from, to, connecting{Small: true}); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	without, err := r.broadcasts(ctx, r.config.Machines-from)
	if err != nil {
		return err
	}
	before, err := r.settled(ctx)
	if err != nil {
		return err
	}
	if _, err := r.crew.order(ctx, order{Do: doStall, From: from, To: to}); err != nil {
		return err
	}
	var with *histogram
	peak := r.peakDuring(func() {
		if err = r.flood(ctx, account, to-from, 4<<10); err == nil {
			with, err = r.broadcasts(ctx, r.config.Machines-to)
		}
	})
	if err != nil {
		return err
	}
	after, err := r.settled(ctx)
	if err != nil {
		return err
	}
	r.compare("stopped.", strconv.Itoa(to-from), without, with)
	r.figure("stopped.peakMiB", strconv.Itoa(to-from)+" machines stop to read: growth of the server at its peak", "MiB", float64(peak-before.resident)/(1<<20))
	r.figure("stopped.MiB", "the same, when it has settled", "MiB", float64(after.resident-before.resident)/(1<<20))
	return r.noteEnded(ctx)
}

// noteEnded notes sessions that ended: those that do not read for long are silent.
func (r *run) noteEnded(ctx context.Context) error {
	total, err := r.crew.counted(ctx)
	if err == nil && len(total.Ended) > 0 {
		r.note("sessions that ended: %v", total.Ended)
	}
	return err
}

// peakDuring is the most memory the server is seen with while f runs.
func (r *run) peakDuring(f func()) (peak int64) {
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { // ends with done
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if m, err := r.server.process().memory(); err == nil {
				peak = max(peak, m.resident)
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	f()
	close(done)
	work.Wait()
	return peak
}
