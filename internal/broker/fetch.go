package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// surveySubjects is how many subjects one question names; the server refuses more than 1,024
	// answers.
	surveySubjects = 1000
	// surveyBytes and fetchBytes cut an answer.
	surveyBytes = 4 << 20
	fetchBytes  = 1 << 20
	fetchBatch  = 256
	// rereadPause is the wait before a lagging replica is asked again, and patience how long.
	rereadPause = 5 * time.Millisecond
	patience    = 3 * time.Second
)

// survey learns the last position of every subject and how far the answering replicas had got.
// A replica that has not got to the window's floor is asked again.
func (r *reading) survey(ctx context.Context, least uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r.upTo = ^uint64(0)
		if err := r.surveyAll(ctx, least); err != nil {
			return err
		}
		if r.upTo >= r.goal() {
			return nil
		}
		if err := r.again(ctx); err != nil {
			return err
		}
	}
}

// goal is what a replica must have got to.
func (r *reading) goal() uint64 {
	if r.life.Ended {
		return r.life.End
	}
	floor, _ := r.b.window.span()
	return floor
}

func (r *reading) again(ctx context.Context) error {
	r.b.counts.rereads.Add(1)
	pause(ctx, rereadPause)
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for a replica that lags: %w: %w", ErrUnavailable, ctx.Err())
	}
	return nil
}

func (r *reading) surveyAll(ctx context.Context, least uint64) error {
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(r.subjects)), surveySubjects) {
		left := make(map[string]bool, len(chunk))
		for _, subject := range chunk {
			left[subject] = true
		}
		for more := true; more; {
			a, err := r.lasts(ctx, slices.Collect(maps.Keys(left)), least+1)
			if err != nil {
				return err
			}
			for _, rec := range a.records {
				if s := r.subjects[rec.subject]; s != nil {
					s.last = rec.seq
				}
				delete(left, rec.subject)
			}
			r.upTo = min(r.upTo, a.upTo)
			// What was cut is asked for by name, as another replica may answer. One that has only
			// the beacon to tell is done.
			more = a.pending > 0 && len(a.records) > 1
		}
	}
	return nil
}

// lasts asks for the last entry of each subject, if it is from least on, and of the beacon: the
// lease, which is always there and so makes the replica answer. The answer says how far the replica
// has got; that, and not the beacon's own position, is what everything is read up to.
func (r *reading) lasts(ctx context.Context, subjects []string, least uint64) (answer, error) {
	q := question{LastFor: append(subjects, r.life.subject(prefixLease+encodeID(r.b.cfg.Node))), Seq: least, MaxBytes: surveyBytes}
	a, err := r.b.direct.ask(ctx, r.life.stream(), q)
	switch {
	case err != nil:
		return a, err
	case a.none && r.life.Ended:
		// Even its leases have aged out.
		a.upTo = r.life.End
	case r.life.Ended:
		a.upTo = min(a.upTo, r.life.End)
	}
	return a, nil
}

// fetch answers one need of a subject: from what other needs have fetched, and from the log for the
// rest. It fetches until the subject's last entry has been seen or there are enough bytes.
func (r *reading) fetch(ctx context.Context, s *strand, n *need) {
	limit := r.limit(n.after)
	if s.last <= n.after {
		n.covered = limit
		return
	}
	g := s.segmentAt(n.after)
	for {
		from, _ := slices.BinarySearchFunc(g.entries, n.after+1, func(e *Entry, seq uint64) int {
			return int(int64(e.Seq) - int64(seq))
		})
		n.entries, n.covered = g.entries[from:], g.to
		if g.to >= min(s.last, limit) {
			n.covered = limit
			return
		}
		if sizeOf(n.entries) >= max(n.bytes, 1) {
			return
		}
		if n.err = r.extend(ctx, s, g, n.bytes); n.err != nil {
			return
		}
	}
}

func sizeOf(entries []*Entry) (sum int) {
	for _, e := range entries {
		sum += len(e.frame)
	}
	return sum
}

// segmentAt is the segment that goes on after a position, a new one if there is none.
func (s *strand) segmentAt(after uint64) *segment {
	for _, g := range s.segments {
		if g.from <= after && after <= g.to {
			return g
		}
	}
	g := &segment{from: after, to: after}
	s.segments = append(s.segments, g)
	return g
}

// extend fetches the next entries of a segment. An answer that ends before the subject's last entry
// comes from a replica that lags, or that entry has been removed since: asking what the last one is
// now tells which.
func (r *reading) extend(ctx context.Context, s *strand, g *segment, bytes int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		a, err := r.b.direct.ask(ctx, r.life.stream(), question{
			Seq: g.to + 1, NextFor: s.subject, Batch: fetchBatch, MaxBytes: min(max(bytes, 1), fetchBytes),
		})
		if err != nil {
			return err
		}
		if len(a.records) > 0 {
			return r.take(g, a.records)
		}
		now, err := r.lasts(ctx, []string{s.subject}, g.to+1)
		if err != nil {
			return err
		}
		if now.upTo >= r.upTo && !now.has(s.subject) {
			g.to = r.upTo
			return nil
		}
		if err := r.again(ctx); err != nil {
			return err
		}
	}
}

func (a answer) has(subject string) bool {
	return slices.ContainsFunc(a.records, func(r record) bool { return r.subject == subject })
}

func (r *reading) take(g *segment, records []record) error {
	for _, rec := range records {
		if rec.seq <= g.to {
			return fmt.Errorf("reading the log: %d came after %d", rec.seq, g.to)
		}
		e, err := decode(rec, r.life.Epoch)
		if err != nil {
			return err
		}
		if e != nil {
			g.entries = append(g.entries, e)
		}
		g.to = rec.seq
	}
	return nil
}
