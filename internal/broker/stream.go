package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ensureStream makes f's stream, or brings its settings up to date. Its bound is what the earlier
// lives leave.
func (l *lives) ensureStream(ctx context.Context, f life) error {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	old, err := l.sizeOfOthers(ctx, f)
	if err != nil {
		return err
	}
	room := max(l.budget.log-old, l.budget.reserve)
	c := jetstream.StreamConfig{
		Name:        f.stream(),
		Description: "Fleetline's log",
		Subjects:    captured(f.Epoch),
		FirstSeq:    f.First,
		MaxAge:      l.cfg.MaxAge,
		MaxBytes:    room,
		Discard:     jetstream.DiscardNew,
		Duplicates:  min(dedupeWindow, l.cfg.MaxAge),
		AllowDirect: true,
		AllowMsgTTL: true,
		DenyDelete:  false,
		Storage:     jetstream.FileStorage,
	}
	s, err := l.js.Stream(ctx, c.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		_, err = l.js.CreateStream(ctx, c)
	case err == nil:
		// A smaller bound never goes below what is there: nothing that was acknowledged goes.
		c.MaxBytes = max(room, int64(s.CachedInfo().State.Bytes)+l.budget.reserve)
		c.FirstSeq = s.CachedInfo().Config.FirstSeq
		_, err = l.js.UpdateStream(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("opening the log's stream: %w", err)
	}
	return nil
}

// sizeOfOthers is what the other lives' streams hold.
func (l *lives) sizeOfOthers(ctx context.Context, f life) (sum int64, err error) {
	streams := l.js.ListStreams(ctx, jetstream.WithStreamListSubject(subjectRoot+">"))
	for s := range streams.Info() {
		if s.Config.Name != f.stream() {
			sum += int64(s.State.Bytes)
		}
	}
	if err := streams.Err(); err != nil {
		return 0, fmt.Errorf("listing the log's streams: %w", err)
	}
	return sum, nil
}

// seal takes every subject from a life's stream, so that nothing can be added to it any more, and
// returns the last position it has. gone tells that there is no such stream.
func (l *lives) seal(ctx context.Context, f life) (last uint64, gone bool, err error) {
	s, err := l.js.Stream(ctx, f.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, true, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("sealing a life of the log: %w", err)
	}
	c := s.CachedInfo().Config
	c.Subjects = []string{f.subject("ended")}
	c.MaxBytes = int64(s.CachedInfo().State.Bytes) + 1
	info, err := l.js.UpdateStream(ctx, c)
	if err != nil {
		return 0, false, fmt.Errorf("sealing a life of the log: %w", err)
	}
	return info.CachedInfo().State.LastSeq, false, nil
}

// replace seals the newest life and begins the next one at its end. A store that ends below what
// it had reached is cut where it ends; a stream that is gone took everything with it.
func (l *lives) replace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	old, ok := l.newest()
	if !ok {
		return l.begin(ctx, 0)
	}
	end, gone, err := l.seal(ctx, old)
	if err != nil {
		return err
	}
	if gone {
		end = old.First - 1
	}
	return l.begin(ctx, end)
}

// state is what the current life's stream holds.
func (l *lives) state(ctx context.Context, f life) (jetstream.StreamState, error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	s, err := l.js.Stream(ctx, f.stream())
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return s.CachedInfo().State, nil
}

// measure looks what all lives hold. A life that has ended and holds nothing any more is removed;
// its place in the list stays, so that its positions are still understood.
func (l *lives) measure(ctx context.Context) error {
	var found extent
	for _, f := range l.all() {
		if f.gone {
			continue
		}
		s, err := l.state(ctx, f)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound) && f.Ended:
			l.forget(f)
			continue
		case err != nil:
			return fmt.Errorf("measuring the log: %w", err)
		case f.Ended && s.Msgs == 0:
			if err := l.remove(ctx, f); err != nil {
				return err
			}
			continue
		}
		found.bytes += int64(s.Bytes)
		if found.first == 0 {
			found.first = max(s.FirstSeq, f.First)
		}
		found.last = s.LastSeq
	}
	l.kept.Store(&found)
	return nil
}

func (l *lives) remove(ctx context.Context, f life) error {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	err := l.js.DeleteStream(ctx, f.stream())
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("removing an aged life of the log: %w", err)
	}
	l.forget(f)
	return nil
}

func (l *lives) forget(f life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		if l.list[i].Epoch == f.Epoch {
			l.list[i].gone = true
		}
	}
}
