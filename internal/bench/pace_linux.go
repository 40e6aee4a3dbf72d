package bench

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// stampField stands before the publisher's time in a message.
const stampField = `"t":`

// stamped is a JSON object of size bytes that carries a time.
func stamped(size int, at int64) []byte {
	b := strconv.AppendInt([]byte("{"+stampField), at, 10)
	b = append(b, `,"p":"`...)
	b = append(b, bytes.Repeat([]byte("x"), max(0, size-len(b)-len(`"}`)))...)
	return append(b, `"}`...)
}

// pacing is a load that is offered at its own pace: when the server stalls, messages go on being
// due, and each is timed from when it was due. So a stall is seen by all that it holds up.
type pacing struct {
	perSecond float64
	messages  int
	size      int
	mode      mode
	to        func() string // the machine that is next; "" is all
}

// paced is what came of it.
type paced struct {
	offered histogram // how late the load came to a message: its own fault
	failed  int64
	reason  error // of one that failed
}

// offer publishes at a pace and waits for the answers.
func (r *run) offer(ctx context.Context, p pacing) (*paced, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	beExact()
	out := &paced{}
	gap := float64(time.Second) / p.perSecond
	began := now() + int64(10*time.Millisecond)
	for i := range p.messages {
		if ctx.Err() != nil {
			break
		}
		due := began + int64(float64(i)*gap)
		request := r.server.request(p.to(), stamped(p.size, due), p.mode)
		sleepUntil(due)
		out.offered.record(since(due))
		r.posts.post(request)
	}
	out.failed, out.reason = r.posts.settle(ctx)
	return out, context.Cause(ctx)
}

// timedLoad offers a load to machines that listen and returns the time from when each message was
// due to its arrival, once all have arrived or nothing more comes.
func (r *run) timedLoad(ctx context.Context, p pacing, listeners, perMessage int) (*histogram, *paced, error) {
	if err := r.watch(ctx, order{Timed: true}, listeners); err != nil {
		return nil, nil, err
	}
	out, err := r.offer(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	want := (int64(p.messages) - out.failed) * int64(perMessage)
	total, err := r.awaitData(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	if out.failed > 0 {
		r.note("%d messages were not taken, one because of: %v", out.failed, out.reason)
	}
	if total.Data < want {
		r.note("%d of %d deliveries did not come", want-total.Data, want)
	}
	return total.Delivery, out, nil
}

// quietAfter is how long nothing must come before nothing more is expected.
const quietAfter = 2 * time.Second

func (r *run) awaitData(ctx context.Context, want int64) (answer, error) {
	last, lastAt := int64(-1), time.Now()
	var total answer
	err := until(ctx, 20*time.Millisecond, func() (err error) {
		if total, err = r.crew.counted(ctx); err != nil {
			return err
		}
		if total.Data != last {
			last, lastAt = total.Data, time.Now()
		}
		if total.Data >= want || time.Since(lastAt) > quietAfter {
			return nil
		}
		return fmt.Errorf("%d of %d deliveries have come", total.Data, want)
	})
	return total, err
}
