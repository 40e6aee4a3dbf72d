package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNobody means that there is no terminal to ask at.
var errNobody = errors.New("standard input is not a terminal")

// askSecret asks without showing what is typed.
func (c *console) askSecret(ctx context.Context, question string) (string, error) {
	in, ok := c.in.(*os.File)
	if !ok || !c.hasTerminal() {
		return "", errNobody
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking for a secret: %w", err)
	}
	fmt.Fprint(c.err, question)
	defer fmt.Fprintln(c.err)
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // ends with the line, or with the process: such a read cannot be interrupted
		text, err := term.ReadPassword(fd)
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		if a.err != nil {
			return "", fmt.Errorf("asking for a secret: %w", a.err)
		}
		return strings.TrimSpace(string(a.text)), nil
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}

// hasTerminal tells whether there is somebody to ask.
func (c *console) hasTerminal() bool {
	in, ok := c.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}
