package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
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
	// spells are how many times each load is offered. One is so few messages that its p99 is that of a
	// single one, which anything on the host may have held up: the spell in the middle counts.
	spells = 3
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
	with, err := r.broadcastsPast(ctx, r.config.Machines-n)
	if err != nil {
		return err
	}
	r.compare("", "1 %", without, with)
	return r.noteEnded(ctx)
}

// broadcasts offers messages to all at a pace that a server is at ease with, and returns how long they
// took in the middle one of the spells.
func (r *run) broadcasts(ctx context.Context, listeners int) (middle *histogram, err error) {
	var all []*histogram
	for range spells {
		_, err := r.cpuDuring(ctx, func() error {
			h, err := r.spell(ctx, listeners)
			all = append(all, h)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b *histogram) int { return cmp.Compare(a.quantile(.99), b.quantile(.99)) })
	return all[len(all)/2], nil
}

func (r *run) spell(ctx context.Context, listeners int) (*histogram, error) {
	perSecond := min(20, max(1, deliveriesPerSecond/float64(r.config.Machines)))
	h, _, err := r.timedLoad(ctx, pacing{
		perSecond: perSecond, messages: max(3, int(perSecond*r.config.Duration.Seconds())), size: smallMessage,
		mode: stored, to: func() string { return "" },
	}, listeners, listeners)
	return h, err
}

// broadcastsPast is broadcasts beside machines that are behind. They must stay so: whoever is handed a
// message has not stopped to read.
func (r *run) broadcastsPast(ctx context.Context, listeners int) (*histogram, error) {
	before, err := r.delivered(ctx)
	if err != nil {
		return nil, err
	}
	h, err := r.broadcasts(ctx, listeners)
	if err != nil {
		return nil, err
	}
	after, err := r.delivered(ctx)
	if others := float64(spells * h.n); err == nil && after-before > others {
		err = fmt.Errorf("machines that do not read were handed %.0f messages to all", after-before-others)
	}
	return h, err
}

// delivered is how many messages the gateway has handed to sockets.
func (r *run) delivered(ctx context.Context) (float64, error) {
	n, _, err := r.gateway.metric(ctx, "fleetline_session_delivered_total")
	return n, err
}

// flood publishes to an account whose n machines do not read, until all are behind.
func (r *run) flood(ctx context.Context, account string, n, size int) error {
	const metric = "fleetline_session_fell_behind_total"
	before, _, err := r.gateway.metric(ctx, metric)
	if err != nil {
		return err
	}
	data := []byte(`"` + string(bytes.Repeat([]byte("x"), size-256)) + `"`)
	var behind float64
	for sent := size; sent <= floodBytes/n; sent += size {
		if err := r.publishAndServe(ctx, api.Message{To: api.Target{Account: account}, Data: data}); err != nil {
			return err
		}
		after, _, err := r.gateway.metric(ctx, metric)
		if err != nil {
			return err
		}
		if behind = after - before; behind >= float64(n) {
			r.note("%d machines that do not read: all fell behind after %d KiB each", n, sent>>10)
			return nil
		}
	}
	return fmt.Errorf("%.0f of %d machines that do not read fell behind after %d KiB each", behind, n, floodBytes/n>>10)
}

// publishAndServe returns when the message has been handed to all whose sockets take it. The publisher
// is answered before: what it floods the gateway with would be worked on beside what comes next.
func (r *run) publishAndServe(ctx context.Context, m api.Message) error {
	receipt, err := r.gateway.api.Publish(ctx, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	return until(ctx, askEvery, func() error {
		served, _, err := r.gateway.metric(ctx, "fleetline_session_finished_position")
		if err == nil && served < float64(receipt.Seq) {
			err = fmt.Errorf("the sessions have been served up to %.0f, not %d", served, receipt.Seq)
		}
		return err
	})
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
			with, err = r.broadcastsPast(ctx, r.config.Machines-to)
		}
	})
	if err != nil {
		return err
	}
	after, err := r.settled(ctx)
	if err != nil {
		return err
	}
	r.note("every p50 and p99 is that of the middle one of %d spells; machines that are behind cost no write, so the others may be written to sooner", spells)
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
