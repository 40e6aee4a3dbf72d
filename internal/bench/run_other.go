//go:build !linux

package bench

import (
	"context"
	"io"
)

// Run needs Linux.
func Run(context.Context, Config) (*Report, error) { return nil, ErrNeedsLinux }

// Work needs Linux.
func Work(io.Reader, io.Writer) error { return ErrNeedsLinux }
