package bench

import (
	"context"
	"time"
)

// idle measures what a machine that does nothing holds of the server's memory: first all of it, when
// machines come that were never there; then, after a restart that finds them all in its directory,
// what connecting alone adds.
func idle(ctx context.Context, r *run) error {
	if err := r.enlist(ctx, r.config.Machines, r.key); err != nil {
		return err
	}
	resident, anonymous, err := r.climb(ctx)
	if err != nil {
		return err
	}
	r.figure("everything.bytes", "all that a machine holds, directory entry included", "B", slope(resident))
	r.figure("everything.anonymousBytes", "the same, without pages of files", "B", slope(anonymous))
	r.figure("resident.MiB", "the server with all machines", "MiB", resident[len(resident)-1].bytes/(1<<20))
	if err := r.keepHeap(ctx); err != nil {
		return err
	}
	if r.gateway == nil {
		r.figure("connected.bytes", "what connecting a known machine adds", "B", slope(resident)) // nothing is kept of it
		return nil
	}
	if err := r.drop(ctx, 0, r.config.Machines); err != nil {
		return err
	}
	r.gateway.child.stop()
	if err := r.gateway.start(ctx, quietHeartbeat); err != nil {
		return err
	}
	if resident, anonymous, err = r.climb(ctx); err != nil {
		return err
	}
	r.figure("connected.bytes", "what connecting a known machine adds", "B", slope(resident))
	r.figure("connected.anonymousBytes", "the same, without pages of files", "B", slope(anonymous))
	return nil
}

// atRest is how long machines that have just come are more than idle: a gateway stores the news of
// them after five seconds, and its log drops what it has written from memory after ten more.
const atRest = 18 * time.Second

// climb connects a fifteenth, a third and then all of the machines, and looks at the memory at each
// step, when they have come to rest.
func (r *run) climb(ctx context.Context) (resident, anonymous []point, err error) {
	from := 0
	for _, to := range []int{r.config.Machines / 15, r.config.Machines / 3, r.config.Machines} {
		if _, err := r.connect(ctx, from, to, connecting{}); err != nil {
			return nil, nil, err
		}
		if err := r.rest(ctx, atRest); err != nil {
			return nil, nil, err
		}
		m, err := r.settled(ctx)
		if err != nil {
			return nil, nil, err
		}
		resident = append(resident, point{float64(to), float64(m.resident)})
		anonymous = append(anonymous, point{float64(to), float64(m.anonymous)})
		from = to
	}
	return resident, anonymous, r.stillThere(ctx)
}
