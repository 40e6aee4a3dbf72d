package main

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Case is one way to misbehave.
type Case struct {
	Name string
	// Why is the sentence of wire/SPEC.md that is at stake, in short.
	Why string
	// Play is the script. It ends early, by way of the stage, when the program has failed.
	Play func(*stage)
	// Long cases begin first.
	Long bool
}

// Verdict is what came of a case.
type Verdict struct {
	Case Case
	// Wrong is empty if the program passed.
	Wrong string
	// Said is the end of what the program wrote on standard error, if it failed.
	Said string
	Took time.Duration
}

// suite plays cases against one program.
type suite struct {
	command  []string
	parallel int
	patience time.Duration
}

// play gives the verdicts as they come. The channel is closed after the last.
func (s *suite) play(ctx context.Context, all []Case) <-chan Verdict {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Case) int { return cmp.Compare(rank(a), rank(b)) })
	todo, verdicts := make(chan Case, len(all)), make(chan Verdict, len(all))
	for _, c := range all {
		todo <- c
	}
	close(todo)
	var players sync.WaitGroup
	for range min(s.parallel, len(all)) {
		players.Go(func() { // ends when nothing is left to play; each play has an end
			for c := range todo {
				verdicts <- s.judge(ctx, c)
			}
		})
	}
	go func() { // ends with the players; whoever ranges over verdicts waits for it
		players.Wait()
		close(verdicts)
	}()
	return verdicts
}

func rank(c Case) int {
	if c.Long {
		return 0
	}
	return 1
}

// judge plays one case on a stage of its own.
func (s *suite) judge(ctx context.Context, c Case) Verdict {
	began := time.Now()
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return Verdict{Case: c, Wrong: "making a folder: " + err.Error()}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	st := newStage(ctx, s, dir)
	over := make(chan struct{})
	go func() { // ends with the script, every wait of which has an end
		defer close(over)
		c.Play(st)
	}()
	<-over
	st.strike()
	v := Verdict{Case: c, Wrong: st.wrong, Took: time.Since(began)}
	if v.Wrong != "" {
		v.Said = st.said()
	}
	return v
}

// fail ends the script, as a test is ended.
func (st *stage) fail(wrong string) {
	st.wrong = wrong
	runtime.Goexit()
}
