package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/terminal"
)

const (
	// firstRetry and longestRetry bound the wait after a program has failed.
	firstRetry   = time.Second
	longestRetry = time.Minute
	// endWithin is how long a program may take to end when it is told to.
	endWithin = 5 * time.Second
)

// program is what messages are handed to.
type program struct {
	command string // for the shell
	out     io.Writer
	screen  *terminal.Screen
}

// hand gives m to the program, again and again until it has ended with 0. It fails when ctx ends
// first.
func (p *program) hand(ctx context.Context, m terminal.Message) error {
	for wait := firstRetry; ; wait = min(2*wait, longestRetry) {
		how := p.run(ctx, m)
		if how == nil {
			p.screen.Handed(m, "", 0)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		again := wait/2 + rand.N(wait/2)
		p.screen.Handed(m, how.Error(), again)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run runs the program once. When ctx ends it is told to end, and killed if it does not.
func (p *program) run(ctx context.Context, m terminal.Message) error {
	run := shell(ctx, p.command)
	run.Stdin = bytes.NewReader(append(slices.Clone(m.Data), '\n'))
	run.Stdout, run.Stderr = p.out, p.out
	run.Env = append(withoutSecrets(os.Environ()), "FLEETLINE_SEQ="+strconv.FormatUint(m.Seq, 10), "FLEETLINE_ID="+m.ID)
	run.WaitDelay = endWithin
	err := run.Run()
	if run.ProcessState != nil && run.ProcessState.Success() {
		return nil // whatever else was going on, it has taken the message
	}
	if ctx.Err() != nil {
		endGroup(run)
	}
	return err
}

// withoutSecrets keeps what opens the gateway from programs that need not know it.
func withoutSecrets(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(secrets(), name)
	})
}
