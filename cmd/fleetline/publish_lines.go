package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/terminal"
)

const (
	// maxLine is longer than any message a gateway can be set to take, so it is the gateway that refuses.
	maxLine = 2 * maxFrame
	// maxPending is how many lines may wait for their results.
	maxPending = 4096
)

// lineStream publishes the lines of an input over one call. A line that is refused does not stop
// those after it.
type lineStream struct {
	// Fixed after construction.
	command *publishCmd
	console *console
	stream  *api.Stream
	pending chan int // numbers of the lines that have no result yet

	// Owned by the goroutine that receives.
	published int
	last      api.Receipt

	refusedHere int // owned by the goroutine that sends, until it ends
	refused     int // owned by the goroutine that receives
}

func (p *publishCmd) runLines(ctx context.Context, c *console) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if in, ok := c.in.(*os.File); ok && terminal.IsTerminal(in) {
		fmt.Fprintln(c.err, "Each line is a message; Ctrl-D ends.") // nothing else would show that it waits
	}
	l := &lineStream{command: p, console: c, stream: stream, pending: make(chan int, maxPending)}
	sent := make(chan error, 1)
	go func() { sent <- l.send(ctx) }() // ends with the input, or at the first line after the stream's end
	if err := l.receive(); err != nil {
		if ctx.Err() != nil && len(l.pending) == 0 {
			return ctx.Err() // Ctrl-C with nothing on its way, however the stream tells it
		}
		return err // a read of standard input cannot be interrupted: it ends with the process
	}
	return errors.Join(<-sent, l.report())
}

func (l *lineStream) send(ctx context.Context) error {
	defer l.stream.CloseSend()
	lines := bufio.NewScanner(l.console.in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		m, err := l.command.message(lines.Bytes())
		if err != nil {
			l.complain(n, err)
			l.refusedHere++
			continue
		}
		select {
		case l.pending <- n:
		case <-ctx.Done():
			return nil
		}
		if err := l.stream.Send(m); err != nil {
			return nil // the receiver is told why
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	return nil
}

func (l *lineStream) receive() error {
	for {
		result, err := l.stream.Receive()
		if errors.Is(err, io.EOF) && !errors.Is(err, api.CodeStreamInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
		n := <-l.pending
		if l.command.JSON {
			if err := l.console.printJSON(result); err != nil {
				return err
			}
		}
		if err := result.Err(); err != nil {
			l.complain(n, err)
			l.refused++
			continue
		}
		l.published++
		l.last = result.Receipt
	}
}

func (l *lineStream) complain(n int, err error) {
	sentence, _ := sentenceOf(err)
	fmt.Fprintf(l.console.err, "line %d: %s\n", n, sentence)
}

func (l *lineStream) report() error {
	if !l.command.JSON {
		text := fmt.Sprintf("published %d messages", l.published)
		if l.last.Seq != 0 {
			text += fmt.Sprintf(", the last as #%d", l.last.Seq)
		}
		fmt.Fprintln(l.console.out, text)
	}
	if refused := l.refused + l.refusedHere; refused > 0 {
		return fmt.Errorf("%d lines were refused", refused)
	}
	return nil
}
