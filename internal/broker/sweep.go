package broker

import "context"

const (
	// sweepEntries and sweepBytes end a sweep: what is left is for the next Read.
	sweepEntries = 64 << 10
	sweepBytes   = 64 << 20
	sweepBatch   = 1024
)

// isSweepCheaper tells whether reading everything once costs less than asking for each subject. A
// question for one subject makes the server look at every entry in between, which is about a
// hundredth of what handing one over costs; so a thousand machines that come back after a restart
// are served by a sweep, and a few by questions.
func (r *reading) isSweepCheaper(least uint64) bool {
	var asked uint64
	for _, s := range r.subjects {
		if s.last > least {
			asked++
		}
	}
	between := min(r.upTo-min(r.upTo, least), uint64(r.b.cfg.sweepMost))
	return asked*(between/100+8) > between
}

// sweep reads every entry after a position and keeps those of the subjects asked for. It fills
// segments, which fetch goes on from; a sweep that was cut moves the end of what those requests are
// given to where it got.
func (r *reading) sweep(ctx context.Context, least uint64) error {
	at, kept := least, 0
	for seen := 0; at < r.upTo && seen < r.b.cfg.sweepMost && kept < sweepBytes; {
		a, err := r.b.direct.ask(ctx, r.life.stream(), question{Seq: at + 1, Batch: min(sweepBatch, r.b.cfg.sweepMost), MaxBytes: fetchBytes})
		if err != nil {
			return err
		}
		for _, rec := range a.records {
			n, err := r.keep(rec, least)
			if err != nil {
				return err
			}
			kept, at = kept+n, rec.seq
		}
		if len(a.records) == 0 || a.pending == 0 {
			break // the end, or a replica that lags: fetch finds out
		}
		seen += len(a.records)
	}
	if at == least {
		return nil
	}
	for _, s := range r.subjects {
		s.segmentAt(least).to = at
	}
	if at < r.upTo && at < r.highest() {
		r.swept = at
	}
	return nil
}

// highest is the last position of all subjects.
func (r *reading) highest() (last uint64) {
	for _, s := range r.subjects {
		last = max(last, s.last)
	}
	return last
}

func (r *reading) keep(rec record, least uint64) (bytes int, err error) {
	s := r.subjects[rec.subject]
	if s == nil {
		return 0, nil
	}
	e, err := decode(rec, r.life.Epoch)
	if err != nil || e == nil {
		return 0, err
	}
	g := s.segmentAt(least)
	g.entries = append(g.entries, e)
	return e.size(), nil
}

// limit is up to where a request from a position is served.
func (r *reading) limit(after uint64) uint64 {
	if r.swept > after {
		return r.swept
	}
	return max(r.upTo, after)
}
