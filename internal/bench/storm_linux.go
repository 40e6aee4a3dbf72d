package bench

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// batchesMetric counts how often the gateway has asked its directory about machines that came.
const batchesMetric = "fleetline_gateway_directory_batches_total"

// storm ends the gateway under its machines, in three ways, and measures how long it takes until
// all are back. After a kill they come at once, as fast as they can; after an orderly stop each
// waits as long as it was told.
func storm(ctx context.Context, r *run) error {
	if err := r.fill(ctx); err != nil {
		return err
	}
	for _, w := range []way{
		{"killKey", "killed, all come with the key", syscall.SIGKILL, false},
		{"killToken", "killed, all come with the token", syscall.SIGKILL, true},
		{"drainToken", "asked to stop, all come with the token", syscall.SIGTERM, true},
	} {
		if err := r.restart(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.text, err)
		}
	}
	return nil
}

// way is how a gateway ends and its machines come back.
type way struct {
	key, text string
	signal    syscall.Signal
	token     bool
}

// awaitAway returns when every machine has noticed that the gateway is gone.
func (r *run) awaitAway(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	return until(ctx, time.Millisecond, func() error {
		total, err := r.crew.counted(ctx)
		if err == nil && total.Live > 0 {
			err = fmt.Errorf("%d machines have not noticed the end of the gateway", total.Live)
		}
		return err
	})
}

func (r *run) restart(ctx context.Context, w way) error {
	began := now()
	if w.signal == syscall.SIGKILL {
		r.gateway.child.kill()
	} else {
		r.gateway.child.stop()
	}
	ended := now()
	if err := r.gateway.launch(); err != nil {
		return err
	}
	if err := r.gateway.awaitPort(ctx); err != nil {
		return err
	}
	opened := now()
	if err := r.awaitAway(ctx); err != nil {
		return err
	}
	var in answer
	cpu, err := r.cpuDuring(ctx, func() (err error) {
		in, err = r.connect(ctx, 0, r.config.Machines, connecting{Token: w.token, Window: stormy, Since: opened})
		return err
	})
	if err != nil {
		return err
	}
	r.figure(w.key+".allBackMs", w.text+": all back after the port opened", "ms", milliseconds(time.Duration(in.At-opened)))
	if w.signal == syscall.SIGTERM {
		r.figure(w.key+".stopMs", w.text+": the stop itself", "ms", milliseconds(time.Duration(ended-began)))
		r.figure(w.key+".longestWaitMs", w.text+": the longest wait that was told", "ms", float64(in.LongestWaitMs))
	}
	r.times(w.key+".late", w.text+": back after it might come,", in.Late, .5, .99, 1)
	r.figure(w.key+".openMs", w.text+": port open after the start", "ms", milliseconds(time.Duration(opened-ended)))
	r.figure(w.key+".cpuMicros", w.text+": server CPU for each", "us", each(cpu, float64(r.config.Machines)))
	batches, found, err := r.gateway.metric(ctx, batchesMetric)
	if found {
		r.figure(w.key+".batches", w.text+": directory batches", "", batches)
	} else if err == nil {
		r.note("%s: this gateway does not count directory batches (%s)", w.text, batchesMetric)
	}
	return err
}
