package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RevocationKind is what was revoked.
type RevocationKind string

// Kinds of revocations.
const (
	RevokedMachine RevocationKind = "machine"
	RevokedAccount RevocationKind = "account"
	RevokedKey     RevocationKind = "key"
)

// Revocation refuses tokens of a machine, an account or a key that were issued before At. It is
// forgotten after Until, when those tokens have run out.
type Revocation struct {
	Kind  RevocationKind `json:"kind"`
	ID    string         `json:"id"`
	At    time.Time      `json:"at"`
	Until time.Time      `json:"until"`
}

// tombstones is the bucket of revocations: one record for each thing revoked, removed by its TTL.
// It is read from the stream's leader, one record after the other, because a replica may lag.
type tombstones struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

const (
	tombstoneStream = "FLEETLINE_tombstones"
	tombstoneRoot   = "fleetline.tombstones."
)

func openTombstones(ctx context.Context, js jetstream.JetStream, b budget) (*tombstones, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              tombstoneStream,
		Description:       "what has been revoked",
		Subjects:          []string{tombstoneRoot + ">"},
		MaxBytes:          b.tombstone,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		AllowMsgTTL:       true,
		AllowDirect:       false,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the tombstones: %w", err)
	}
	return &tombstones{js, s}, nil
}

// put keeps r until it runs out.
func (t *tombstones) put(ctx context.Context, r Revocation, body []byte) error {
	ttl := max(1, wholeSeconds(time.Until(r.Until)))
	m := &nats.Msg{
		Subject: tombstoneRoot + string(r.Kind) + "." + encodeID(r.ID),
		Data:    body,
		Header:  nats.Header{jetstream.MsgTTLHeader: {strconv.FormatInt(ttl, 10)}},
	}
	if _, err := t.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("writing the tombstone: %w", unavailable(err))
	}
	return nil
}

// read returns every tombstone that has not run out.
func (t *tombstones) read(ctx context.Context) ([]Revocation, error) {
	var all []Revocation
	for seq := uint64(1); ; {
		m, err := t.next(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the tombstones: %w", unavailable(err))
		}
		var r Revocation
		if err := json.Unmarshal(m.Data, &r); err != nil {
			return nil, fmt.Errorf("reading tombstone %d: %w", m.Sequence, err)
		}
		all, seq = append(all, r), m.Sequence+1
	}
}

func (t *tombstones) next(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	return t.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(tombstoneRoot+">"))
}

// Revoke keeps r for whoever starts later, then writes it into the log, so that the tail of every
// node hears it. Doing it twice is nothing. It works while publishes are refused because the log is
// full. On an error it is to be called again: part of it may have been done.
func (b *Broker) Revoke(ctx context.Context, r Revocation) error {
	if r.ID == "" || len(r.ID) > maxID {
		return fmt.Errorf("revoking: %w: the id is empty or too long", ErrInvalid)
	}
	switch r.Kind {
	case RevokedMachine, RevokedAccount, RevokedKey:
	default:
		return fmt.Errorf("revoking: %w: there is no kind %q", ErrInvalid, r.Kind)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	ctx, cancel := apiContext(ctx)
	defer cancel()
	if err := b.tombstones.put(ctx, r, body); err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	told := &nats.Msg{Subject: b.lives.current.Load().subject(suffixRevoke), Data: body}
	if _, err := b.acks.write(ctx, b.space, told); err != nil {
		return fmt.Errorf("revoking: telling the nodes: %w", err)
	}
	b.counts.revocations.Add(1)
	return nil
}

// Revocations reads all that has not run out. A revocation that is missing in the answer is heard
// by a Tail of a broker that was open before.
func (b *Broker) Revocations(ctx context.Context) ([]Revocation, error) {
	return b.tombstones.read(ctx)
}
