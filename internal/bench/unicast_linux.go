package bench

import (
	"context"
	"math/rand/v2"
)

const (
	unicastsPerSecond = 1000
	smallMessage      = 128
	largeMessage      = 1024
)

// unicast measures the time from when a message for one machine was due to be published through the
// API to its arrival, at a pace.
func unicast(ctx context.Context, r *run) error {
	if err := r.fill(ctx); err != nil {
		return err
	}
	ids, err := r.ids(ctx, r.config.Machines)
	if err != nil {
		return err
	}
	modes := []mode{stored, liveOnly}
	if r.gateway == nil {
		modes = modes[1:]
	}
	for _, m := range modes {
		if err := r.unicastAs(ctx, m, ids); err != nil {
			return err
		}
	}
	return r.stillThere(ctx)
}

func (r *run) unicastAs(ctx context.Context, m mode, ids []string) error {
	messages := int(unicastsPerSecond * r.config.Duration.Seconds())
	p := pacing{
		perSecond: unicastsPerSecond, messages: min(messages, unicastsPerSecond) / 2, size: smallMessage,
		mode: m, to: func() string { return ids[rand.IntN(len(ids))] },
	}
	if _, _, err := r.timedLoad(ctx, p, len(ids), 1); err != nil { // opens the connections
		return err
	}
	p.messages = messages
	var took *histogram
	var out *paced
	cpu, err := r.cpuDuring(ctx, func() (err error) {
		took, out, err = r.timedLoad(ctx, p, len(ids), 1)
		return err
	})
	if err != nil {
		return err
	}
	text := string(m) + " message to one machine, 1,000/s:"
	r.times(string(m), text, took, .5, .99, .999, 1)
	r.figure(string(m)+".cpuMicros", text+" server CPU", "us", each(cpu, float64(took.n)))
	r.times(string(m)+".late", text+" the load itself was late by", &out.offered, .99, 1)
	return nil
}
