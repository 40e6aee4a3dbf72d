package gateway

import (
	"context"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/session"
)

// tail brings the log's records to the hub, in order, from one goroutine.
func (g *Gateway) tail(ctx context.Context) error {
	return g.journal.Tail(ctx, func(e *broker.Entry) {
		switch {
		case e.Kind == broker.Data && e.Position() == 0:
			g.hub.DeliverLive(session.Target(e.Target), e)
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
