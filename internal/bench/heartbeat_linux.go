package bench

import (
	"context"
	"time"
)

// heartbeat measures what a ping and its pong cost. All of the server's CPU time is divided by the
// round trips; what it uses without machines is told beside it and not taken off.
func heartbeat(ctx context.Context, r *run) error {
	const alone = 2 * time.Second
	cpu, err := r.cpuDuring(ctx, func() error { return pause(ctx, alone) })
	if err != nil {
		return err
	}
	r.figure("alone.cpuPercent", "server CPU without machines, of one core", "%", 100*cpu.Seconds()/alone.Seconds())
	if err := r.fill(ctx); err != nil {
		return err
	}
	if err := r.glanceOnly(ctx); err != nil {
		return err
	}
	// Within a heartbeat everybody has had the first ping.
	if err := pause(ctx, busyHeartbeat+busyHeartbeat/2); err != nil {
		return err
	}
	if err := r.watch(ctx, order{}, r.config.Machines); err != nil {
		return err
	}
	var beats answer
	var seconds float64
	cpu, err = r.cpuDuring(ctx, func() (err error) {
		began := now()
		if err := pause(ctx, r.config.Duration); err != nil {
			return err
		}
		beats, err = r.crew.counted(ctx)
		seconds = since(began).Seconds() // a profile is waited for longer
		return err
	})
	if err != nil {
		return err
	}
	r.figure("cpuMicros", "server CPU for a round trip", "us", each(cpu, float64(beats.Pongs)))
	r.figure("perSecond", "round trips", "/s", float64(beats.Pongs)/seconds)
	if expected := float64(r.config.Machines) * seconds / busyHeartbeat.Seconds(); float64(beats.Pongs) < .9*expected {
		r.note("there were %d round trips where %.0f were due: the system was too busy", beats.Pongs, expected)
	}
	return r.stillThere(ctx)
}
