package socket

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWhoeverIsRefusedInDrainedIsDrainedAgain has the budget used up and free again while a Drained call
// runs: only inside the package can that be timed.
func TestWhoeverIsRefusedInDrainedIsDrainedAgain(t *testing.T) {
	const budget = 1 << 20
	h := &thirst{large: Prepare([]byte(strings.Repeat("x", 2*smallFrame))), budget: budget, drained: make(chan struct{}, 10)}
	e, err := NewEpoll(Config{Handler: h, MaxQueued: budget, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h.engine = e
	l := entered(t, e)
	if err := l.watch(); err != nil {
		t.Fatal(err)
	}
	if h.isTaken(l.id) {
		t.Fatal("a large frame was taken without a budget")
	}
	for range 2 {
		select {
		case <-h.drained:
		case <-time.After(10 * time.Second):
			t.Fatal("refused, and nothing drained")
		}
	}
}

// thirst is a handler that finds no budget for a frame the first time that there is room.
type thirst struct {
	endings
	engine  *Epoll
	large   Prepared
	budget  int64
	drained chan struct{}
	once    sync.Once
}

// isTaken offers the frame while there is no budget, and has the keeper look once there is.
func (h *thirst) isTaken(id ID) bool {
	h.engine.queued.Add(h.budget)
	taken := h.engine.Send(id, h.large)
	h.engine.queued.Add(-h.budget)
	h.engine.keeper.quench()
	return taken
}

func (h *thirst) Drained(id ID) {
	h.once.Do(func() { h.isTaken(id) })
	h.drained <- struct{}{}
}

func (h *thirst) Closed(ID, Closure) {}
