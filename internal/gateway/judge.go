package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// judging is how many batches are judged at once.
	judging = 4
	// judgeBatch is the most applicants of one batch.
	judgeBatch = askMost - controlsPerID
	// judgeQueue bounds those who wait; more are told to come back.
	judgeQueue = 16384
	// judgeTimeout bounds one batch.
	judgeTimeout = 5 * time.Second
	// unknownFor is how long a key that was not found is remembered as unknown.
	unknownFor = 2 * time.Second
)

// Applicants are judged one by one while few come, and many at a time in a storm: then a batch waits
// a moment for the next to come. It looks from time to time instead of being woken by each.
const (
	// crowd is how many within crowdWindow are a storm.
	crowd       = 32
	crowdWindow = 20 * time.Millisecond
	linger      = 100 * time.Millisecond // at most, and until nobody has come for a while:
	lull        = 15 * time.Millisecond  // while there are connections that have yet to say who they are,
	shortLull   = 2 * time.Millisecond   // and while there are none
	glance      = time.Millisecond
)

// judge asks the directory about applicants.
type judge struct {
	queue  chan *applicant
	silent *atomic.Int64 // connections that may apply yet

	// Owned by run.
	windowEnds time.Time
	inWindow   int
	isCrowded  bool

	mu sync.Mutex
	// Guarded by mu.
	unknown map[directory.Digest]time.Time
}

func newJudge(silent *atomic.Int64) *judge {
	return &judge{queue: make(chan *applicant, judgeQueue), silent: silent, unknown: make(map[directory.Digest]time.Time)}
}

func (j *judge) submit(a *applicant) bool {
	select {
	case j.queue <- a:
		return true
	default:
		return false
	}
}

// run has whoever comes judged until ctx ends.
func (j *judge) run(ctx context.Context, judgeBatch func([]*applicant)) {
	var work sync.WaitGroup
	defer work.Wait()
	places := make(chan struct{}, judging)
	for {
		select {
		case <-ctx.Done():
			return
		case places <- struct{}{}:
		}
		batch := j.gather(ctx)
		if len(batch) == 0 {
			return
		}
		work.Go(func() { // ends with its questions, which are bounded
			judgeBatch(batch)
			<-places
		})
	}
}

// gather waits for an applicant and adds whoever else is there; in a storm also whoever comes within
// linger. It is empty when ctx has ended.
func (j *judge) gather(ctx context.Context) []*applicant {
	var batch []*applicant
	select {
	case <-ctx.Done():
		return nil
	case a := <-j.queue:
		batch = append(batch, a)
	}
	batch = j.add(batch)
	if j.isCrowded {
		batch = j.lingerFor(batch)
	}
	j.count(time.Now(), len(batch))
	return batch
}

// add takes those who are there.
func (j *judge) add(batch []*applicant) []*applicant {
	for len(batch) < judgeBatch {
		select {
		case a := <-j.queue:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

// lingerFor adds whoever comes. When nobody does for a while, those who are there are all who come for
// now: they may be waiting for each other.
func (j *judge) lingerFor(batch []*applicant) []*applicant {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	now := time.Now()
	last, latest := now, now.Add(linger)
	for len(batch) < judgeBatch && now.Before(latest) && now.Sub(last) < j.patience() {
		now = <-tick.C
		before := len(batch)
		if batch = j.add(batch); len(batch) > before {
			last = now
		}
	}
	return batch
}

// patience is how long nobody must have come.
func (j *judge) patience() time.Duration {
	if j.silent.Load() > 0 {
		return lull
	}
	return shortLull
}

// count notes how many came of late.
func (j *judge) count(now time.Time, n int) {
	if now.After(j.windowEnds) {
		j.windowEnds, j.inWindow = now.Add(crowdWindow), 0
	}
	j.inWindow += n
	j.isCrowded = j.inWindow >= crowd
}

func (j *judge) isUnknown(d directory.Digest) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return time.Now().Before(j.unknown[d])
}

func (j *judge) forgetUnknown(d directory.Digest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.unknown, d)
}

// rememberUnknown keeps a bounded number of keys: when there are too many, all are asked again.
func (j *judge) rememberUnknown(d directory.Digest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.unknown) >= keysRemembered {
		clear(j.unknown)
	}
	j.unknown[d] = time.Now().Add(unknownFor)
}
