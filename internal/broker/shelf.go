package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Shelf is a small bucket of records that every node of the installation reads from its leader: what
// was put or removed on one node is so on all of them at once.
type Shelf struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	root   string
}

// shelfBytes bounds a shelf. Its room is one of those that are kept for the directory's buckets.
const shelfBytes = 4 * mib

// OpenShelf makes the shelf of this name, or opens it.
func OpenShelf(ctx context.Context, b *Broker, name string) (*Shelf, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	root := "fleetline." + name + "."
	s, err := b.engine.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              "FLEETLINE_" + name,
		Description:       "small records: " + name,
		Subjects:          []string{root + ">"},
		MaxBytes:          min(shelfBytes, b.budget.bucket),
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		AllowDirect:       false, // a replica may lag
	})
	if err != nil {
		return nil, fmt.Errorf("opening the shelf %s: %w", name, err)
	}
	return &Shelf{js: b.engine.js, stream: s, root: root}, nil
}

// Get reads the record of a key; found is false if there is none.
func (s *Shelf) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	m, err := s.stream.GetLastMsgForSubject(ctx, s.subject(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading a record: %w", unavailable(err))
	}
	return m.Data, true, nil
}

// Put stores a record, in place of the one that is there.
func (s *Shelf) Put(ctx context.Context, key string, value []byte) error {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	_, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: s.subject(key), Data: value})
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && isFullCode(refused.ErrorCode):
		return fmt.Errorf("storing a record: %w", ErrFull)
	case err != nil:
		return fmt.Errorf("storing a record: %w", unavailable(err))
	}
	return nil
}

// Remove removes the record of a key, also when the shelf is full. Without one it does nothing.
func (s *Shelf) Remove(ctx context.Context, key string) error {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.subject(key))); err != nil {
		return fmt.Errorf("removing a record: %w", unavailable(err))
	}
	return nil
}

// All calls f for every record, in the order they were stored.
func (s *Shelf) All(ctx context.Context, f func(key string, value []byte)) error {
	for seq := uint64(1); ; {
		m, err := s.next(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the records: %w", unavailable(err))
		}
		if key, ok := decodeID(strings.TrimPrefix(m.Subject, s.root)); ok {
			f(key, m.Data)
		}
		seq = m.Sequence + 1
	}
}

func (s *Shelf) next(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	return s.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(s.root+">"))
}

func (s *Shelf) subject(key string) string { return s.root + encodeID(key) }
