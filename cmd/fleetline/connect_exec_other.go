//go:build !unix

package main

import (
	"context"
	"os/exec"
)

// shell runs command.
func shell(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "cmd", "/C", command)
}

func endGroup(*exec.Cmd) {}
