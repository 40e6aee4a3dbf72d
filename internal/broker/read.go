package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Request asks for one session's messages after a position.
type Request struct {
	// Target names the session's machine and account.
	Target   Target
	After    uint64
	MaxBytes int // of frames; one message is always taken
}

// Result answers a Request.
type Result struct {
	// Entries are the session's messages after the position asked for, in order. Up to Reached they
	// are all there are.
	Entries []*Entry
	Reached uint64
	// Gap is set if history is gone: everything from the position asked for up to and including Gap.
	// Entries begin after it.
	Gap uint64
	Err error
}

// Read reads the log itself, for sessions that the window does not reach back to; one result per
// request, in order. It costs one question for all requests, and one or more for each subject that
// has something new. A result covers the log up to what the replica that answered had, never less
// than the window's floor, so whoever goes on from Reached finds itself in the window; or up to where
// MaxBytes cut it, or to the end of an earlier life of the log.
//
// After reading, the log's first position is compared with the one asked for: what lies below it is
// a Gap, even if some of it was still read. A message that its TTL or a hand removed above that
// position is simply not there.
func (b *Broker) Read(ctx context.Context, reqs []Request) []Result {
	results := make([]Result, len(reqs))
	byLife := make(map[life][]int)
	for i, r := range reqs {
		f := b.lives.holding(r.After)
		byLife[f] = append(byLife[f], i)
	}
	b.counts.reads.Add(1)
	for f, indices := range byLife {
		r := &reading{b: b, life: f, subjects: make(map[string]*strand)}
		if f.gone || r.run(ctx, reqs, indices, results) == errGone {
			// Nothing of it is left: the comparison below says where to go on.
			for _, i := range indices {
				results[i] = Result{Reached: max(f.End, reqs[i].After)}
			}
		}
	}
	first, err := b.lives.oldest(ctx)
	for i := range results {
		results[i].compare(reqs[i].After, first, err)
	}
	return results
}

// compare tells of a gap between the position asked for and the log's first entry.
func (r *Result) compare(after, first uint64, err error) {
	if r.Err == nil {
		r.Err = err
	}
	if r.Err != nil {
		r.Entries, r.Reached = nil, after
		return
	}
	if first <= after+1 {
		return
	}
	r.Gap = first - 1
	for len(r.Entries) > 0 && r.Entries[0].Seq <= r.Gap {
		r.Entries = r.Entries[1:]
	}
	r.Reached = max(r.Reached, r.Gap)
}

// reading is one Read in one life of the log.
type reading struct {
	b    *Broker
	life life
	// upTo is how far the replicas that answered had got; everything is read up to there.
	upTo uint64
	// swept is where a sweep was cut; 0 if there was none, or if it got to the end.
	swept    uint64
	subjects map[string]*strand
}

// strand is one subject of a reading.
type strand struct {
	subject string
	// last is the subject's last position, as far as the replicas that answered know; 0: nothing new.
	last     uint64
	needs    []need
	segments []*segment
}

// need is what one request wants of a subject; the answer is filled in.
type need struct {
	request int
	after   uint64
	bytes   int

	entries []*Entry
	covered uint64
	err     error
}

// segment are all of a subject's entries after from, up to to. Requests share it.
type segment struct {
	from, to uint64
	entries  []*Entry
}

// errGone: the life ended and its stream has been removed.
var errGone = errors.New("this life of the log is gone")

func (r *reading) run(ctx context.Context, reqs []Request, indices []int, results []Result) error {
	least := ^uint64(0)
	for _, i := range indices {
		least = min(least, reqs[i].After)
		for _, subject := range r.life.subjectsOf(reqs[i].Target) {
			s := r.subjects[subject]
			if s == nil {
				s = &strand{subject: subject}
				r.subjects[subject] = s
			}
			s.needs = append(s.needs, need{request: i, after: reqs[i].After, bytes: reqs[i].MaxBytes})
		}
	}
	err := r.survey(ctx, least)
	if err == nil && r.isSweepCheaper(least) {
		err = r.sweep(ctx, least)
	}
	if err != nil {
		if r.life.Ended && errors.Is(err, nats.ErrNoResponders) {
			return errGone
		}
		for _, i := range indices {
			results[i].Err = err
		}
		return err
	}
	r.fetchAll(ctx)
	r.gather(reqs, indices, results)
	return nil
}

// subjectsOf are the subjects whose messages a session is given.
func (f life) subjectsOf(t Target) []string {
	subjects := []string{f.subject(Target{}.suffix())}
	if t.Machine != "" {
		subjects = append(subjects, f.subject(Target{Machine: t.Machine}.suffix()))
	}
	if t.Account != "" {
		subjects = append(subjects, f.subject(Target{Account: t.Account}.suffix()))
	}
	return subjects
}

// fetchAll reads every subject that has something new, a few at a time.
func (r *reading) fetchAll(ctx context.Context) {
	work := make(chan *strand)
	var workers sync.WaitGroup
	for range directReaders {
		workers.Go(func() { // until work is closed
			for s := range work {
				for i := range s.needs {
					r.fetch(ctx, s, &s.needs[i])
				}
			}
		})
	}
	for _, s := range r.subjects {
		work <- s
	}
	close(work)
	workers.Wait()
}

// gather merges what the subjects gave for each request.
func (r *reading) gather(reqs []Request, indices []int, results []Result) {
	parts := make(map[int][]*need, len(indices))
	for _, s := range r.subjects {
		for i := range s.needs {
			n := &s.needs[i]
			parts[n.request] = append(parts[n.request], n)
		}
	}
	now := time.Now()
	for _, i := range indices {
		results[i] = merge(parts[i], r.limit(reqs[i].After), reqs[i].MaxBytes, now)
	}
}

// merge puts a session's subjects in order, up to where all of them are covered.
func merge(parts []*need, upTo uint64, maxBytes int, now time.Time) (res Result) {
	for _, n := range parts {
		if n.err != nil {
			return Result{Err: n.err}
		}
		upTo = min(upTo, n.covered)
	}
	for taken := 0; ; {
		var first *need
		for _, n := range parts {
			if len(n.entries) > 0 && (first == nil || n.entries[0].Seq < first.entries[0].Seq) {
				first = n
			}
		}
		if first == nil || first.entries[0].Seq > upTo {
			res.Reached = upTo
			return res
		}
		e := first.entries[0]
		if taken >= maxBytes && taken > 0 {
			res.Reached = e.Seq - 1
			return res
		}
		first.entries = first.entries[1:]
		if !e.Expired(now) {
			res.Entries, taken = append(res.Entries, e), taken+len(e.frame)
		}
	}
}

// oldest is the log's first position now.
func (l *lives) oldest(ctx context.Context) (uint64, error) {
	for _, f := range l.all() {
		if f.gone {
			continue
		}
		s, err := l.state(ctx, f)
		if err != nil && f.Ended {
			continue // removed in this moment; if it is not, the next life's first position is a gap
		} else if err != nil {
			return 0, fmt.Errorf("comparing with the log's first position: %w", unavailable(err))
		}
		if s.Msgs > 0 || !f.Ended {
			return max(s.FirstSeq, f.First), nil
		}
	}
	return 0, ErrUnavailable
}
