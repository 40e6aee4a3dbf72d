package rows

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// twinsEvery is how often one pair is logged: a fleet that shares its key asks all the time.
	twinsEvery = time.Hour
	// twinsMost is how many pairs are remembered. Beyond it, all are forgotten and logged once more.
	twinsMost = 1000
)

// Twins logs that two accounts cannot be told apart.
type Twins struct {
	log *slog.Logger

	mu sync.Mutex
	// Guarded by mu.
	told map[[2]string]time.Time
}

// NewTwins makes a log of accounts that cannot be told apart.
func NewTwins(log *slog.Logger) *Twins {
	return &Twins{log: log, told: make(map[[2]string]time.Time)}
}

// Tell logs the ids of two accounts that have one key, or of one account that is there twice.
func (t *Twins) Tell(one, other string) {
	if t.isNews([2]string{min(one, other), max(one, other)}) {
		t.log.Error("two accounts cannot be told apart: neither is admitted until they differ", "account", one, "other", other)
	}
}

func (t *Twins) isNews(pair [2]string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.told[pair]; ok && time.Since(last) < twinsEvery {
		return false
	}
	if len(t.told) >= twinsMost {
		clear(t.told)
	}
	t.told[pair] = time.Now()
	return true
}
