// Package feed hands the changes that a directory driver hears of to everybody who watches: in
// order, without ever waiting for a watcher. A watcher that is too slow is told that it has Lost
// some, and checks.
package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
)

// maxWaiting is how many events may wait for one watcher. A watcher that is further behind is told
// that it has Lost some, and to check.
const maxWaiting = 1 << 16

var errSlow = fmt.Errorf("%w: the watcher fell too far behind", directory.ErrUnavailable)

// ErrClosed ends every Watch of a directory that was closed.
var ErrClosed = errors.New("the directory is closed")

// Feed hands events to watchers. Whoever pushes never waits.
type Feed struct {
	mu sync.Mutex
	// Guarded by mu.
	state    directory.Event // the latest Live or Lost
	watchers map[*Watcher]struct{}
}

// Watcher is one receiver of a feed's events.
type Watcher struct {
	feed *Feed
	wake chan struct{} // holds one token while events wait
	// Guarded by the feed's mu.
	events []directory.Event
}

// New makes a feed that is Lost because of why, until a Live is pushed.
func New(why error) *Feed {
	return &Feed{
		state:    directory.Event{Kind: directory.Lost, Err: why},
		watchers: make(map[*Watcher]struct{}),
	}
}

// Push hands an event to all watchers.
func (f *Feed) Push(e directory.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == directory.Live || e.Kind == directory.Lost {
		f.state = e
	}
	for w := range f.watchers {
		w.addLocked(e)
	}
}

// PushIfLive is for what watchers cannot have known of: while nothing is live they will check anyway,
// and a book that is read anew is full of it.
func (f *Feed) PushIfLive(e directory.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Kind != directory.Live {
		return
	}
	for w := range f.watchers {
		w.addLocked(e)
	}
}

// State is the latest Live or Lost.
func (f *Feed) State() directory.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (w *Watcher) addLocked(e directory.Event) {
	if len(w.events) == maxWaiting {
		w.events = []directory.Event{{Kind: directory.Lost, Err: errSlow}}
		if w.feed.state.Kind == directory.Live {
			w.events = append(w.events, w.feed.state)
		}
	} else {
		w.events = append(w.events, e)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Watch reports, in the caller's goroutine, until ctx or the directory's life ends. The first report
// is the state.
func (f *Feed) Watch(ctx, life context.Context, report func(directory.Event)) error {
	w := f.Subscribe()
	defer w.Close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-life.Done():
			return ErrClosed
		case <-w.wake:
		}
		for _, e := range w.Take() {
			report(e)
		}
	}
}

// Subscribe adds a watcher; the first of its events is the state.
func (f *Feed) Subscribe() *Watcher {
	w := &Watcher{feed: f, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	w.addLocked(f.state)
	return w
}

// Take returns the events that wait, and waits for none.
func (w *Watcher) Take() []directory.Event {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// Close ends the watcher's events.
func (w *Watcher) Close() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	delete(w.feed.watchers, w)
}
