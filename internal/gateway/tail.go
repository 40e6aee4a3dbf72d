package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/session"
)

// tail brings the log's records to the hub, in order, from one goroutine.
func (g *Gateway) tail(ctx context.Context) error {
	return g.journal.Tail(ctx, func(e *broker.Entry) {
		g.progress.note(e.At, time.Now())
		switch {
		case e.Kind == broker.Data:
			g.hub.Deliver(session.Target(e.Target), e)
		case e.Kind == broker.Revoked:
			g.hub.Pass(e.Position())
			g.hearRevocation(*e.Revocation)
		case e.Kind == broker.Break:
			g.log.Warn("the log was interrupted; sessions are sent to come back with their positions", "position", e.Position())
			g.hub.Break(e.Position(), g.elsewhere())
		default:
			g.hub.Pass(e.Position())
		}
	})
}

// progress is how the tail gets on. One that works through a burst hears its own lease late: that is
// no reason to send machines elsewhere.
type progress struct {
	// Unix nanoseconds, written by the tail: when it last handed something on, and when the log took
	// the last entry that it handed on.
	moved, taken atomic.Int64
}

func (p *progress) note(taken, now time.Time) {
	p.moved.Store(now.UnixNano())
	if !taken.IsZero() {
		p.taken.Store(taken.UnixNano())
	}
}

// isBusy tells whether the tail moves, and what it hands on is old.
func (p *progress) isBusy(now time.Time) bool {
	lost := leaseLost.Nanoseconds()
	return now.UnixNano()-p.moved.Load() < lost && now.UnixNano()-p.taken.Load() > lost
}

// ReadFrom shows a broker to sessions as the log they read.
func ReadFrom(b *broker.Broker) session.Log { return logReader{b} }

type logReader struct{ b *broker.Broker }

func (l logReader) Recent(dst []session.Message, to session.Target, after uint64, maxBytes int) ([]session.Message, uint64, bool) {
	entries, reached, ok := l.b.Recent(broker.Target(to), after, maxBytes, nil)
	return appendMessages(dst, entries), reached, ok
}

func (l logReader) Read(ctx context.Context, reqs []session.Request) []session.Result {
	asked := make([]broker.Request, len(reqs))
	for i, r := range reqs {
		asked[i] = broker.Request{Target: broker.Target(r.To), After: r.After, MaxBytes: r.MaxBytes}
	}
	results := make([]session.Result, len(reqs))
	for i, r := range l.b.Read(ctx, asked) {
		results[i] = session.Result{Messages: appendMessages(nil, r.Entries), Reached: r.Reached, Gap: r.Gap, Err: r.Err}
	}
	return results
}

func appendMessages(dst []session.Message, entries []*broker.Entry) []session.Message {
	for _, e := range entries {
		dst = append(dst, e)
	}
	return dst
}
