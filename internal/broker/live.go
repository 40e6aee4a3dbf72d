package broker

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// liveQueue and liveBytes bound the live-only messages that wait for the tail; more are dropped.
const (
	liveQueue = 8192
	liveBytes = 32 << 20
)

// hearLive hands on live-only messages until ctx ends.
func (t *tail) hearLive(ctx context.Context) {
	for ctx.Err() == nil {
		sub, err := t.nc.SubscribeSync(subjectRoot + "*." + prefixLive + ">")
		if err == nil {
			_ = sub.SetPendingLimits(liveQueue, liveBytes) // fails only for a closed subscription
			err = t.takeLive(ctx, sub)
			_ = sub.Unsubscribe()
		}
		if ctx.Err() == nil {
			t.log.Warn("live-only messages are heard again", "error", err)
			pause(ctx, tailPause)
		}
	}
}

func (t *tail) takeLive(ctx context.Context, sub *nats.Subscription) error {
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch err {
		case nil:
		case nats.ErrSlowConsumer:
			t.counts.liveDropped.Add(1)
			continue
		default:
			return err
		}
		if e := decodeLive(m); e != nil {
			t.hand(e)
		}
	}
}

// decodeLive makes an entry of a live-only message; nil if it is none.
func decodeLive(m *nats.Msg) *Entry {
	_, what, ok := parseSubject(m.Subject)
	if !ok {
		return nil
	}
	what, ok = strings.CutPrefix(what, prefixLive)
	if !ok {
		return nil
	}
	target, ok := parseTarget(what)
	if !ok {
		return nil
	}
	return newData(record{id: publisherID(m.Header.Get(jetstream.MsgIDHeader)), data: m.Data}, target)
}
