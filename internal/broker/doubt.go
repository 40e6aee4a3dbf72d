package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// doubt tells why the newest life cannot go on, nil if it can. It looks at the store and at what the
// witness says of it.
func (l *lives) doubt(ctx context.Context) (reason, err error) {
	now, ok := l.newest()
	if !ok {
		return nil, nil
	}
	w, reason := readWitness(l.cfg.Dir)
	ctx, cancel := apiContext(ctx)
	defer cancel()
	s, err := l.js.Stream(ctx, now.stream())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if reason == nil && l.isEarlier(w.Epoch, now) {
			return nil, nil // listed by a start that died before it made the stream
		}
		return errors.New("the log's stream is gone"), nil
	case err != nil:
		return nil, fmt.Errorf("looking at the log's stream: %w", err)
	case reason != nil:
		return reason, nil
	case !slices.Contains(s.CachedInfo().Config.Subjects, captured(now.Epoch)[0]):
		return errors.New("the last start died while it began a new life"), nil
	}
	return w.proves(now.Epoch, s.CachedInfo().State.LastSeq, l.cfg.bootID), nil
}

func (l *lives) isEarlier(epoch string, than life) bool {
	f, ok := l.find(epoch)
	return ok && f.First < than.First || ok && f.Ended
}

// share works out how much each part of the store may hold.
func (c Config) share() (budget, error) {
	total := c.MaxBytes
	if total == 0 {
		free, err := freeDisk(c.Dir)
		if err != nil {
			return budget{}, fmt.Errorf("measuring the free disk: %w", err)
		}
		held, err := treeSize(c.Dir)
		if err != nil {
			return budget{}, err
		}
		total = (free + held) / 2
	}
	return newBudget(total, c)
}
