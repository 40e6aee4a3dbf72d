package bench

import (
	"context"
	"time"
)

// auth measures what it costs a machine to come in: dialing, the handshake and the first frame. All
// machines come first as new ones, then known ones with the key, then with their tokens.
func auth(ctx context.Context, r *run) error {
	if err := r.enlist(ctx, r.config.Machines, r.key); err != nil {
		return err
	}
	if r.gateway != nil {
		if err := r.come(ctx, "enroll", "enrolling a new machine", connecting{}); err != nil {
			return err
		}
	}
	if err := r.warm(ctx); err != nil {
		return err
	}
	if err := r.come(ctx, "key", "connecting with the key", connecting{}); err != nil || r.gateway == nil {
		return err
	}
	return r.come(ctx, "token", "connecting with the token", connecting{Token: true})
}

// warmings is how often all machines come before it is measured. A server whose memory grows with them
// still takes fresh pages from the system the second time.
const warmings = 3

func (r *run) warm(ctx context.Context) error {
	for range warmings {
		if err := r.drop(ctx, 0, r.config.Machines); err != nil {
			return err
		}
		if _, err := r.connect(ctx, 0, r.config.Machines, connecting{}); err != nil {
			return err
		}
	}
	return nil
}

// come has all machines leave and come, and notes what that cost.
func (r *run) come(ctx context.Context, key, text string, how connecting) error {
	if err := r.drop(ctx, 0, r.config.Machines); err != nil {
		return err
	}
	var in answer
	began := now()
	used, err := r.usedDuring(ctx, func() (err error) {
		in, err = r.connect(ctx, 0, r.config.Machines, how)
		return err
	})
	if err != nil {
		return err
	}
	n := float64(r.config.Machines)
	r.figure(key+".cpuMicros", text+": server CPU", "us", each(used.cpu, n))
	r.figure(key+".faults", text+": page faults of the server", "each", float64(used.faults)/n)
	r.figure(key+".perSecond", text+": rate", "/s", n/time.Duration(in.At-began).Seconds())
	r.times(key, text+":", in.Took, .5, .99)
	return nil
}
