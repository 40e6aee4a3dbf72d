package supabase

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// realtime keeps one link to Realtime live and tells what comes of it. The official client gives up
// in some cases; this one never does.
type realtime struct {
	// Fixed after construction.
	line  *line
	renew time.Duration
	// live, lost and changed are called in order, never two at once.
	live    func()
	lost    func(why error)
	changed func(change)

	// Owned by run.
	signals chan signal
	work    sync.WaitGroup
	current *link // tells what is reported; nil: none
	next    *link // opened to replace current, before current is closed
	begun   time.Time
	isLive  bool // current has been live since begun
	wait    backoff
	dial    *time.Timer // opens current
	replace *time.Timer // opens next
}

// run returns when ctx has ended and every link with it.
func (r *realtime) run(ctx context.Context) {
	r.signals = make(chan signal, 16)
	r.wait = newBackoff(r.line.pace)
	r.dial, r.replace = time.NewTimer(0), time.NewTimer(r.renewal())
	defer r.work.Wait()
	defer r.line.client.CloseIdleConnections()
	defer r.dial.Stop()
	defer r.replace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.dial.C:
			r.current = r.open(ctx)
		case <-r.replace.C:
			if r.current != nil && r.next == nil {
				r.next = r.open(ctx)
			}
		case s := <-r.signals:
			r.take(s)
		}
	}
}

// renewal is when the link is replaced: nodes that began together must not do it together.
func (r *realtime) renewal() time.Duration {
	return r.renew - rand.N(r.renew/5+1)
}

func (r *realtime) open(life context.Context) *link {
	ctx, stop := context.WithCancel(life)
	l := newLink(r.line, r.signals)
	l.stop = stop
	r.work.Go(func() { // ends with life, or when the link is stopped
		defer stop()
		l.run(ctx, life)
	})
	return l
}

// take acts on what a link tells. One that has been replaced has nothing to say any more.
func (r *realtime) take(s signal) {
	switch {
	case s.from != r.current && s.from != r.next:
	case s.change != nil:
		r.changed(*s.change)
	case s.live:
		r.takeLive(s.from)
	case s.from == r.next:
		r.next = nil
		r.replace.Reset(min(r.renewal(), r.wait.longest))
	default:
		r.takeEnd(s)
	}
}

func (r *realtime) takeLive(from *link) {
	if from == r.next {
		r.current.stop()
		r.current, r.next = r.next, nil
		r.isLive = false
	}
	if !r.isLive {
		r.begun, r.isLive = time.Now(), true
		r.replace.Reset(r.renewal())
	}
	r.live()
}

// takeEnd goes on with the next link if one is being opened, and else opens another after a wait.
func (r *realtime) takeEnd(s signal) {
	r.lost(s.ended)
	var lived, floor time.Duration
	if r.isLive {
		lived = time.Since(r.begun)
	}
	if s.refused {
		floor = r.line.pace.refused/2 + rand.N(r.line.pace.refused/2+1)
	}
	r.current, r.isLive = r.next, false
	if r.next = nil; r.current == nil {
		r.dial.Reset(r.wait.next(lived, floor))
	}
}

var errConnecting = errors.New("the connection to Realtime is being opened")
