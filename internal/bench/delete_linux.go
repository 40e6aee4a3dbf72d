package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// mostDeletions is how many machines are deleted, and how many stay beside them.
const mostDeletions = 1000

// deletion measures from the call that deletes a machine to the goodbye at that machine, one after
// the other.
func deletion(ctx context.Context, r *run) error {
	victims := min(mostDeletions, r.config.Machines/2)
	if err := r.enlist(ctx, 2*victims, r.key); err != nil {
		return err
	}
	if _, err := r.connect(ctx, 0, 2*victims, connecting{}); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	ids, err := r.ids(ctx, victims)
	if err != nil {
		return err
	}
	var took histogram
	cpu, err := r.cpuDuring(ctx, func() error {
		for number, id := range ids {
			began := now()
			if err := r.gateway.api.DeleteMachine(ctx, id); err != nil {
				return err
			}
			at, err := r.awaitGoodbye(ctx, number)
			if err != nil {
				return err
			}
			took.record(time.Duration(at - began))
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := "from DELETE to the goodbye at the machine,"
	r.times("goodbye", text, &took, .5, .99, 1)
	r.figure("cpuMicros", "deleting a machine: server CPU", "us", each(cpu, float64(victims)))
	if err := r.awaitSessions(ctx, victims); err != nil {
		return fmt.Errorf("counting those that stay: %w", err)
	}
	r.note("%d deletions beside %d other sessions", victims, victims)
	return nil
}

func (r *run) awaitGoodbye(ctx context.Context, number int) (at int64, err error) {
	late := time.NewTimer(lostAfter)
	defer late.Stop()
	for {
		select {
		case a := <-r.crew.deleted:
			if a.Machine == number {
				return a.At, nil
			}
		case <-late.C:
			return 0, errors.New("a deleted machine was not told")
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
