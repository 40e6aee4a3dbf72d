package embedded

import (
	"context"
	"errors"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
)

// maxWaiting is how many events may wait for one watcher. A watcher that is further behind is told
// that it has Lost some, and to check.
const maxWaiting = 1 << 16

var errSlow = errors.New("the watcher fell too far behind")

// feed hands events to watchers. Whoever pushes never waits.
type feed struct {
	mu sync.Mutex
	// Guarded by mu.
	state    directory.Event // the latest Live or Lost
	watchers map[*watcher]struct{}
}

type watcher struct {
	wake chan struct{} // holds one token while events wait
	// Guarded by the feed's mu.
	events []directory.Event
}

func newFeed() *feed {
	return &feed{
		state:    directory.Event{Kind: directory.Lost, Err: unavailable(errLoading)},
		watchers: make(map[*watcher]struct{}),
	}
}

func (f *feed) push(e directory.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == directory.Live || e.Kind == directory.Lost {
		f.state = e
	}
	for w := range f.watchers {
		w.addLocked(e, f.state)
	}
}

// pushIfLive is for what watchers cannot have known of: while nothing is live they will check anyway,
// and a book that is read anew is full of it.
func (f *feed) pushIfLive(e directory.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Kind != directory.Live {
		return
	}
	for w := range f.watchers {
		w.addLocked(e, f.state)
	}
}

func (w *watcher) addLocked(e, state directory.Event) {
	if len(w.events) == maxWaiting {
		w.events = []directory.Event{{Kind: directory.Lost, Err: unavailable(errSlow)}}
		if state.Kind == directory.Live {
			w.events = append(w.events, state)
		}
	} else {
		w.events = append(w.events, e)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watch reports, in the caller's goroutine, until ctx or life ends. The first report is the state.
func (f *feed) watch(ctx, life context.Context, report func(directory.Event)) error {
	w := &watcher{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	f.watchers[w] = struct{}{}
	w.addLocked(f.state, f.state)
	f.mu.Unlock()
	defer f.forget(w)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-life.Done():
			return errClosed
		case <-w.wake:
		}
		for _, e := range f.drain(w) {
			report(e)
		}
	}
}

func (f *feed) drain(w *watcher) []directory.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

func (f *feed) forget(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watchers, w)
}
