package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// askMost is the most ids of one question to a directory, those of the controls included. A driver
	// that must ask by HTTP addresses makes three full requests of it.
	askMost = 450
	// controlsPerID is how many rows that must be there stand beside one id, so that its absence is
	// a fifth of the answer at most.
	controlsPerID = 4
	// asking is how many questions are with the directory at once.
	asking = 8
)

// finding is a directory's answer for one id. An absence is credible if the same answer found rows
// that must be there: an empty table, another project's or a truncated answer proves nothing.
type finding[A any] struct {
	answer   A
	verdict  directory.Verdict
	credible bool
}

// asker asks one face of the directory about many ids, a few questions at once.
type asker[A any] struct {
	// Fixed after construction.
	check   func(ctx context.Context, ids []string) []A
	verdict func(A) directory.Verdict
	breaker *breaker

	controls controls
}

// ask answers for each id, in order. While the directory fails, it is spared.
func (a *asker[A]) ask(ctx context.Context, ids []string) []finding[A] {
	if !a.breaker.lets(time.Now()) {
		return make([]finding[A], len(ids))
	}
	return a.insist(ctx, ids)
}

// insist asks whatever happened before.
func (a *asker[A]) insist(ctx context.Context, ids []string) []finding[A] {
	asked, at := distinct(ids)
	found := make([]finding[A], len(asked))
	left := found
	var work sync.WaitGroup
	places := make(chan struct{}, asking)
	for batch := range batches(asked, askMost-controlsPerID) {
		places <- struct{}{}
		answers := left[:len(batch)]
		left = left[len(batch):]
		work.Go(func() { // ends with its question, which ctx bounds
			a.askOnce(ctx, batch, answers)
			<-places
		})
	}
	work.Wait()
	findings := make([]finding[A], len(ids))
	for i := range ids {
		findings[i] = found[at[i]]
	}
	return findings
}

// askOnce asks one question, and writes what is found for each id.
func (a *asker[A]) askOnce(ctx context.Context, ids []string, findings []finding[A]) {
	r := a.read(ctx, ids)
	for i := range ids {
		findings[i] = r.finding(i)
	}
}

// reading is what one question to the directory brought, in the order of its ids.
type reading[A any] struct {
	ids      []string
	answers  []A
	verdicts []directory.Verdict
	credible bool
}

func (r *reading[A]) finding(i int) finding[A] {
	return finding[A]{r.answers[i], r.verdicts[i], r.credible}
}

// read asks one question, with controls beside the ids where they are few.
func (a *asker[A]) read(ctx context.Context, ids []string) reading[A] {
	asked := a.controls.beside(ids)
	answers := a.check(ctx, asked)
	verdicts := make([]directory.Verdict, len(asked)) // Unavailable where there is no answer
	for i := range min(len(answers), len(asked)) {
		verdicts[i] = a.verdict(answers[i])
	}
	a.controls.learn(asked, verdicts)
	a.breaker.heard(slices.ContainsFunc(verdicts, isAnswer), time.Now())
	if len(answers) < len(ids) {
		answers = append(slices.Clip(answers), make([]A, len(ids)-len(answers))...)
	}
	return reading[A]{ids, answers, verdicts, isCredible(verdicts)}
}

func isAnswer(v directory.Verdict) bool { return v != directory.Unavailable }

// isCredible tells whether an answer's absences can be believed: it found another row that must be
// there, and misses at most a fifth of what was asked.
func isCredible(verdicts []directory.Verdict) bool {
	var found, absent int
	for _, v := range verdicts {
		switch v {
		case directory.Found:
			found++
		case directory.NotFound:
			absent++
		}
	}
	return found > 0 && absent*5 <= len(verdicts)
}

// distinct are the ids without those that come again, and where among them each is.
func distinct(ids []string) (list []string, at []int) {
	places := make(map[string]int, len(ids))
	at = make([]int, len(ids))
	for i, id := range ids {
		n, again := places[id]
		if !again {
			n = len(list)
			places[id] = n
			list = append(list, id)
		}
		at[i] = n
	}
	return list, at
}

func batches(ids []string, most int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(ids) > 0 {
			n := min(len(ids), most)
			if !yield(ids[:n:n]) {
				return
			}
			ids = ids[n:]
		}
	}
}

// controlsKept is how many rows are remembered to have been there.
const controlsKept = 64

// controls are ids that the directory found of late.
type controls struct {
	mu sync.Mutex
	// Guarded by mu.
	ids  [controlsKept]string
	next int
}

// learn takes an answer in: a few of the rows that are there, and none that is gone.
func (c *controls) learn(ids []string, verdicts []directory.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := 0
	for i, v := range verdicts {
		switch v {
		case directory.NotFound, directory.Deleted:
			if at := slices.Index(c.ids[:], ids[i]); at >= 0 {
				c.ids[at] = ""
			}
		case directory.Found:
			if taken < controlsPerID && !slices.Contains(c.ids[:], ids[i]) {
				c.ids[c.next%controlsKept] = ids[i]
				c.next++
				taken++
			}
		}
	}
}

// beside returns ids and behind them as many controls as make one absence a fifth. Many ids are
// controls for each other.
func (c *controls) beside(ids []string) []string {
	if len(ids) > controlsPerID*10 {
		return ids
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := ids
	isAsked := make(map[string]bool, len(ids))
	for _, id := range ids {
		isAsked[id] = true
	}
	for _, id := range c.ids {
		if len(asked) == len(ids)+controlsPerID {
			break
		}
		if id != "" && !isAsked[id] {
			asked = append(asked, id)
		}
	}
	return asked
}
