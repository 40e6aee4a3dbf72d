package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// fanout measures messages to all machines: one at a time until the last machine has it, and as
// many as the server delivers while some are always on their way.
func fanout(ctx context.Context, r *run) error {
	if err := r.fill(ctx); err != nil {
		return err
	}
	if err := r.glanceOnly(ctx); err != nil {
		return err
	}
	modes := []mode{liveOnly, stored}
	if r.gateway == nil {
		modes = modes[:1]
	}
	for _, m := range modes {
		for _, size := range []int{smallMessage, largeMessage} {
			if err := r.oneByOne(ctx, m, size); err != nil {
				return err
			}
		}
		for _, outstanding := range []int{4, 64} {
			if err := r.saturate(ctx, m, smallMessage, outstanding); err != nil {
				return err
			}
		}
	}
	return r.stillThere(ctx)
}

const (
	// mostMessages is plenty for a median.
	mostMessages = 50
	// breather lets the server finish what a message leaves behind.
	breather = 20 * time.Millisecond
	// lostAfter is how long a message to all may take before it counts as lost.
	lostAfter = 5 * time.Second
)

// oneByOne publishes the next message when the last one has reached everybody.
func (r *run) oneByOne(ctx context.Context, m mode, size int) error {
	if err := r.watch(ctx, order{}, r.config.Machines); err != nil {
		return err
	}
	var took histogram
	rounds := int64(0)
	cpu, err := r.cpuDuring(ctx, func() error {
		for end := time.Now().Add(r.config.Duration); rounds < mostMessages && time.Now().Before(end); {
			began := now()
			if err := r.server.publish(ctx, "", stamped(size, began), m); err != nil {
				return err
			}
			rounds++
			at, err := r.awaitTurn(ctx, rounds)
			if err != nil {
				return err
			}
			took.record(time.Duration(at - began))
			if err := pause(ctx, breather); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s%d.last", m, size)
	text := fmt.Sprintf("one %s message of %d B until the last machine has it:", m, size)
	r.times(key, text, &took, .5, .99)
	r.figure(key+".cpuMicros", text+" server CPU each", "us", each(cpu, float64(rounds)*float64(r.config.Machines)))
	return nil
}

// awaitTurn waits until a round has reached every machine and returns when it had.
func (r *run) awaitTurn(ctx context.Context, turn int64) (at int64, err error) {
	late := time.NewTimer(lostAfter)
	defer late.Stop()
	for {
		turns, at := r.crew.completed()
		if turns >= turn {
			return at, nil
		}
		select {
		case <-r.crew.turned:
		case <-late.C:
			return 0, fmt.Errorf("a message to all did not reach all within %s", lostAfter)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// saturation keeps a number of messages to all on their way. One is on its way until the machines
// of every worker have, together, received as many as they are; the last of one may so count for
// the first of the next.
type saturation struct {
	// Fixed after construction.
	r           *run
	m           mode
	size        int
	outstanding int64

	// Written by the goroutine of keepUp.
	begun   int64 // messages
	givenUp int64 // of these

	once   sync.Once
	failed error // of one publish
}

// saturate measures the rate while messages are always on their way.
func (r *run) saturate(ctx context.Context, m mode, size, outstanding int) error {
	if err := r.watch(ctx, order{}, r.config.Machines); err != nil {
		return err
	}
	s := &saturation{r: r, m: m, size: size, outstanding: int64(outstanding)}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { s.keepUp(publishing) }) // ends with publishing
	before, after, cpu, err := r.window(ctx)
	stop()
	work.Wait()
	if err == nil {
		err = s.failed
	}
	want := s.begun * int64(r.config.Machines)
	var total answer
	if err == nil {
		total, err = r.awaitData(ctx, want)
	}
	if err != nil {
		return err
	}
	delivered := float64(after.Data - before.Data)
	key := fmt.Sprintf("%s%d.with%d", m, size, outstanding)
	text := fmt.Sprintf("%s messages of %d B to all, %d on their way:", m, size, outstanding)
	r.figure(key+".perSecond", text+" deliveries", "/s", delivered/time.Duration(after.At-before.At).Seconds())
	r.figure(key+".cpuMicros", text+" server CPU each", "us", each(cpu, delivered))
	if total.Data < want {
		r.note("%s %d of %d deliveries did not come", text, want-total.Data, want)
	}
	return nil
}

// window counts for the duration, after a while in which the load becomes even.
func (r *run) window(ctx context.Context) (before, after answer, cpu time.Duration, err error) {
	if err = pause(ctx, r.config.Duration/4); err != nil {
		return
	}
	cpu, err = r.cpuDuring(ctx, func() (err error) {
		if before, err = r.crew.counted(ctx); err == nil {
			err = pause(ctx, r.config.Duration)
		}
		if err == nil {
			after, err = r.crew.counted(ctx)
		}
		return err
	})
	return before, after, cpu, err
}

// keepUp publishes whenever fewer than wanted are on their way.
func (s *saturation) keepUp(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	room := make(chan struct{}, s.outstanding) // bounds the calls, whatever is lost
	var progress int64
	moved := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		done, _ := s.r.crew.completed()
		if done > progress {
			progress, moved = done, time.Now()
		}
		if time.Since(moved) > lostAfter {
			// What is on its way will not come: live-only messages are dropped where a socket is full.
			s.givenUp = s.begun - done
			moved = time.Now()
		}
		for s.begun-s.givenUp-done < s.outstanding && ctx.Err() == nil {
			s.begun++
			room <- struct{}{} // given back when the call ends, which has a limit
			work.Go(func() {
				defer func() { <-room }()
				s.publish(ctx)
			})
		}
		select {
		case <-s.r.crew.turned:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (s *saturation) publish(ctx context.Context) {
	// A call that has begun is not broken off: the server may have taken the message.
	ctx = context.WithoutCancel(ctx)
	if err := s.r.server.publish(ctx, "", stamped(s.size, now()), s.m); err != nil && !errors.Is(err, context.Canceled) {
		s.once.Do(func() { s.failed = err })
	}
}
