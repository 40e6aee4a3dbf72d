package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// seenEvery is how often news of machines goes to the directory.
	seenEvery = 5 * time.Second
	// seenMost bounds what is kept meanwhile; more is dropped, for it decides nothing.
	seenMost    = 1 << 17
	seenTimeout = 5 * time.Second
)

// seenBook gathers when machines were last seen and what they said of themselves, so that a storm of
// connections does not become a storm of writes.
type seenBook struct {
	mu sync.Mutex
	// Guarded by mu.
	news map[string]directory.Seen
}

func newSeenBook() *seenBook { return &seenBook{news: make(map[string]directory.Seen)} }

func (b *seenBook) add(n directory.Seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.news[n.MachineID]
	if !known && len(b.news) >= seenMost {
		return
	}
	if n.Info == nil {
		n.Info = old.Info
	}
	b.news[n.MachineID] = n
}

func (b *seenBook) take() []directory.Seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := make([]directory.Seen, 0, len(b.news))
	for _, n := range b.news {
		news = append(news, n)
	}
	b.news = make(map[string]directory.Seen) // a map that is cleared keeps the room of a storm
	return news
}

// flush writes what has gathered. What cannot be written is lost, and the next connection says it
// again.
func (b *seenBook) flush(ctx context.Context, g *Gateway) {
	news := b.take()
	if len(news) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	if err := g.view.machines.Seen(ctx, news); err != nil {
		g.log.Warn("storing when machines were last seen", "machines", len(news), "err", err)
	}
}
