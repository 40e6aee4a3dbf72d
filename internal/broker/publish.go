package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish stores a message and returns where it stands. It is idempotent by target and ID for ten
// minutes: the same again returns the first position. After ErrUnavailable it is not known whether
// the message was stored.
func (b *Broker) Publish(ctx context.Context, m Message) (Receipt, error) {
	p, err := b.PublishAsync(ctx, m)
	if err != nil {
		return Receipt{}, err
	}
	return p.Wait(ctx)
}

// Pending is a message on its way into the log.
type Pending struct {
	message Message
	life    life
	sent    *pending
	// known is set instead of sent for a message that an earlier life has.
	known *Receipt
}

// PublishAsync starts a Publish and returns before the log has answered. Messages are stored in the
// order of the calls. It blocks while too much is outstanding, so whoever publishes many keeps a
// line of pendings and waits for them in order.
func (b *Broker) PublishAsync(ctx context.Context, m Message) (*Pending, error) {
	if err := m.check(b.cfg.MaxData); err != nil {
		return nil, b.counts.refuse(err)
	}
	now := *b.lives.current.Load()
	msg := message(now.subject(m.Target.suffix()), m)
	if r, ok := b.carried.find(msg.Header.Get(jetstream.MsgIDHeader)); ok {
		r.ID, r.Duplicate = m.ID, true
		return &Pending{message: m, known: &r}, nil
	}
	bytes := int64(msg.Size() + recordOverhead)
	if !b.space.take(bytes) {
		return nil, b.counts.refuse(ErrFull)
	}
	sent, err := b.acks.send(ctx, msg, func(k ack, err error) {
		b.space.settle(bytes, err == nil && !k.Duplicate)
		b.counts.published(err)
	})
	if err != nil {
		b.space.settle(bytes, false)
		return nil, b.counts.refuse(err)
	}
	return &Pending{message: m, life: now, sent: sent}, nil
}

// Wait returns when the log has answered or ctx ends; the message goes on its way all the same.
func (p *Pending) Wait(ctx context.Context) (Receipt, error) {
	if p.known != nil {
		return *p.known, nil
	}
	k, err := p.sent.wait(ctx)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{ID: p.message.ID, Epoch: p.life.Epoch, Seq: k.Seq, Duplicate: k.Duplicate}
	if r.ID == "" {
		r.ID = madeID(r.Epoch, r.Seq)
	}
	return r, nil
}

// PublishLive hands a message to whoever is connected now. It is not stored, has no position, and
// is lost on the way rather than holding anything up.
func (b *Broker) PublishLive(ctx context.Context, m Message) (Receipt, error) {
	if err := errors.Join(m.check(b.cfg.MaxData), ctx.Err()); err != nil {
		return Receipt{}, b.counts.refuse(err)
	}
	now := b.lives.current.Load()
	if err := b.engine.publish.PublishMsg(message(now.subject(prefixLive+m.Target.suffix()), m)); err != nil {
		return Receipt{}, b.counts.refuse(unavailable(err))
	}
	b.counts.live.Add(1)
	r := Receipt{ID: m.ID, Epoch: now.Epoch}
	if r.ID == "" {
		r.ID = "live-" + randomName()
	}
	return r, nil
}

// message makes the record. The id stands in the header that JetStream compares.
func message(subject string, m Message) *nats.Msg {
	msg := &nats.Msg{Subject: subject, Data: m.Data, Header: nats.Header{}}
	if m.ID != "" {
		msg.Header.Set(jetstream.MsgIDHeader, messageID(m.Target.suffix(), m.ID))
	}
	if m.TTL > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(wholeSeconds(m.TTL), 10))
	}
	return msg
}

// wholeSeconds rounds up: JetStream counts a TTL in seconds.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// madeID names a message whose publisher gave it no id.
func madeID(epoch string, seq uint64) string { return fmt.Sprintf("%s-%d", epoch, seq) }
