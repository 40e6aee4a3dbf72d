package bench

import (
	"math/rand/v2"
	"time"
)

// attempt is the connecting of many machines: a window of them at once, those that fail again after
// a while, until all are there or time is up.
type attempt struct {
	// Fixed after construction; the zero value has nothing to do.
	id       int
	how      connecting
	deadline int64

	queue    []*machine // may come now
	waiting  []*machine // may not come yet
	inFlight int
	left     int // that are not live yet

	took, late histogram
	failures   map[string]int
}

const (
	// retryLeast and retrySpread are how long a machine waits after a failure, if the server does
	// not say.
	retryLeast  = 50 * time.Millisecond
	retrySpread = 100 * time.Millisecond
	// glance is how often those who wait are looked through.
	glance = 2 * time.Millisecond
)

func newAttempt(id int, how connecting, machines []*machine) *attempt {
	a := &attempt{id: id, how: how, failures: map[string]int{}}
	a.deadline = now() + how.WithinMs*int64(time.Millisecond)
	for _, m := range machines {
		if m.stage != away {
			continue
		}
		a.left++
		if m.due > now() {
			a.waiting = append(a.waiting, m)
		} else {
			a.queue = append(a.queue, m)
		}
	}
	return a
}

// isOver tells that nothing remains to be done.
func (a *attempt) isOver() bool { return a.left == 0 || now() > a.deadline }

// advance opens as many as the window allows.
func (w *worker) advance() {
	a := w.attempt
	a.release()
	for a.inFlight < a.how.Window && len(a.queue) > 0 {
		m := a.queue[0]
		a.queue = a.queue[1:]
		m.hello = w.server.dialect.auth(m, a.how.Token)
		a.inFlight++
		if err := w.open(m); err != nil {
			a.failed(m, err.Error())
		}
	}
}

// release moves those whose time has come from the waiting to the queue.
func (a *attempt) release() {
	at := now()
	still := a.waiting[:0]
	for _, m := range a.waiting {
		if m.due > at {
			still = append(still, m)
		} else {
			a.queue = append(a.queue, m)
		}
	}
	a.waiting = still
}

// failed lets a machine try again later.
func (a *attempt) failed(m *machine, why string) {
	a.inFlight--
	a.failures[why]++
	m.hello = nil
	m.due = max(m.due, now()+int64(retryLeast+rand.N(retrySpread)))
	a.waiting = append(a.waiting, m)
}

// welcome counts a machine that is in.
func (w *worker) welcome(m *machine) {
	if m.stage != authenticating {
		return
	}
	m.stage, m.hello = live, nil
	w.live++
	a := w.attempt
	at := now()
	a.inFlight--
	a.left--
	a.took.record(time.Duration(at - m.began))
	a.late.record(time.Duration(at - max(m.due, a.how.Since)))
	m.due = 0
}
