package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/api"
)

// The machines of a run, as its scenarios order them about.

const (
	// perSource is how many machines share an address; a gateway lets 1,000 of one wait.
	perSource = 500
	// calm and stormy are how many machines each worker connects at once.
	calm   = 64
	stormy = 1024
)

// enlist makes the machines up to number upTo that there are not yet, with a key.
func (r *run) enlist(ctx context.Context, upTo int, key api.Key) error {
	_, err := r.crew.each(ctx, func(worker int) order {
		return order{Do: doEnlist, To: upTo, Enlist: &enlistment{
			Addr: r.addr, Dialect: r.dialect, Key: key, Worker: worker, Workers: len(r.crew.hands),
			Sources: min(1+r.config.Machines/perSource, 60000),
		}}
	})
	return err
}

// connect connects the machines from one number up to another, all of them or not at all.
func (r *run) connect(ctx context.Context, from, to int, how connecting) (answer, error) {
	if how.Window == 0 {
		how.Window = calm
	}
	how.WithinMs = stepWithin.Milliseconds()
	ctx, cancel := context.WithTimeout(ctx, stepWithin+stopWithin)
	defer cancel()
	answers, err := r.crew.order(ctx, order{Do: doConnect, From: from, To: to, Connect: &how})
	total := sum(answers)
	if err != nil {
		return total, err
	}
	if n := total.Took.n; n < uint64(to-from) {
		return total, fmt.Errorf("connecting machines: %d of %d are in after %s; failed attempts: %v", n, to-from, stepWithin, total.Failed)
	}
	if len(total.Failed) > 0 {
		r.note("failed attempts while connecting: %v", total.Failed)
	}
	return total, nil
}

// fill enlists and connects all machines.
func (r *run) fill(ctx context.Context) error {
	if err := r.enlist(ctx, r.config.Machines, r.key); err != nil {
		return err
	}
	if _, err := r.connect(ctx, 0, r.config.Machines, connecting{}); err != nil {
		return err
	}
	return r.calm(ctx)
}

// noted is when a gateway has written down who came: it does so every five seconds.
const noted = 6 * time.Second

// calm waits until what connecting leaves behind is done. It belongs to connecting, and would count
// for what is measured next.
func (r *run) calm(ctx context.Context) error {
	if r.gateway == nil {
		return nil // a peer keeps nothing of its machines
	}
	return r.rest(ctx, noted)
}

// glanceOnly has the machines look now and then for what has come.
func (r *run) glanceOnly(ctx context.Context) error {
	if _, err := r.crew.order(ctx, order{Do: doRest}); err != nil {
		return err
	}
	r.note("the machines read every %s, so that waking them is not charged to the server", glances)
	return nil
}

// rest waits for what goes on in a gateway after machines have come, which nothing tells.
func (r *run) rest(ctx context.Context, usual time.Duration) error {
	return pause(ctx, cmp.Or(r.config.Rest, usual))
}

// drop breaks connections off and waits until the server has noticed.
func (r *run) drop(ctx context.Context, from, to int) error {
	if _, err := r.crew.order(ctx, order{Do: doDrop, From: from, To: to}); err != nil {
		return err
	}
	total, err := r.crew.counted(ctx)
	if err != nil {
		return err
	}
	return r.awaitSessions(ctx, total.Live)
}

func (r *run) awaitSessions(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	return until(ctx, 20*time.Millisecond, func() error {
		n, err := r.server.sessions(ctx)
		if err == nil && n != want {
			err = fmt.Errorf("the server has %d sessions, not %d", n, want)
		}
		return err
	})
}

// watch lets the workers count anew. If machines are missing, what follows would be of another fleet
// than the one that was asked for.
func (r *run) watch(ctx context.Context, o order, want int) error {
	listeners, err := r.crew.watch(ctx, o)
	if err == nil && listeners < want {
		err = fmt.Errorf("%d of %d machines listen: the server has ended the others", listeners, want)
	}
	return err
}

// stillThere is an error if sessions ended although nobody asked for it: the figures are then of
// fewer machines than they say.
func (r *run) stillThere(ctx context.Context) error {
	total, err := r.crew.counted(ctx)
	if err == nil && len(total.Failed) > 0 {
		r.note("%v", total.Failed)
	}
	if err == nil && len(total.Ended) > 0 {
		err = fmt.Errorf("sessions ended meanwhile: %v", total.Ended)
	}
	return err
}

// ids are the machines' ids, in order of number.
func (r *run) ids(ctx context.Context, to int) ([]string, error) {
	answers, err := r.crew.order(ctx, order{Do: doIDs, To: to})
	if err != nil {
		return nil, err
	}
	all := make([]string, to)
	for number := range all {
		mine := answers[number%len(answers)].IDs
		if slot := number / len(answers); slot < len(mine) {
			all[number] = mine[slot]
		}
		if all[number] == "" {
			return nil, errors.New("a machine was given no id")
		}
	}
	return all, nil
}

// cpuDuring is the server's CPU time while f runs. That of the workers is noted beside it.
func (r *run) cpuDuring(ctx context.Context, f func() error) (time.Duration, error) {
	used, err := r.usedDuring(ctx, f)
	return used.cpu, err
}

// usedDuring is cpuDuring with what else the server used.
func (r *run) usedDuring(ctx context.Context, f func() error) (use, error) {
	defer r.profile(ctx)()
	before, err := r.server.process().used()
	if err != nil {
		return use{}, err
	}
	load := r.crew.cpu()
	if err := f(); err != nil {
		return use{}, err
	}
	after, err := r.server.process().used()
	used := use{after.cpu - before.cpu, after.faults - before.faults}
	r.serverCPU += used.cpu
	r.loadCPU += r.crew.cpu() - load
	return used, err
}

// settled is the server's memory when all that it can do without has gone back to the system.
func (r *run) settled(ctx context.Context) (memory, error) {
	if err := r.server.settle(ctx); err != nil {
		return memory{}, err
	}
	return r.server.process().memory()
}
