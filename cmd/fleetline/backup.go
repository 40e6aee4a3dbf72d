package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fleetline/fleetline/internal/server"
)

type backupCmd struct {
	operator
	File string `arg:"" help:"Where to; a file that is there is not replaced."`
}

// Help shows an example.
func (backupCmd) Help() string {
	return `The gateway goes on meanwhile. The file holds everything that it keeps, secrets included, and can be read by its
owner alone.

Example:

	$ fleetline backup fleet-$(date +%F).backup`
}

// Run fetches the backup. The file has its name only when it is whole.
func (b *backupCmd) Run(ctx context.Context, c *console) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(b.File); !errors.Is(err, fs.ErrNotExist) {
		return useError("%s is there already", b.File)
	}
	f, err := os.CreateTemp(filepath.Dir(b.File), ".backup-*") // 0600
	if err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	err = client.Backup(ctx, f)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), b.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return c.printDone(b.File, "written", b.JSON)
}

type restoreCmd struct {
	DataDir string `env:"FLEETLINE_DATA_DIR,STATE_DIRECTORY" default:"fleetline-data" placeholder:"DIR" help:"Data folder to restore into: it must be empty, or not there."`
	File    string `arg:"" help:"What fleetline backup has written."`
	JSON    bool   `name:"json" help:"Print JSON, for programs."`
}

// Help shows an example.
func (restoreCmd) Help() string {
	return `The gateway that uses the folder must not run. When it starts again, machines come back with the tokens and keys they
have; those that had received something after the backup are told that history is gone, once. What was deleted since
the backup is there again: delete it anew.

Example:

	$ fleetline restore --data-dir /var/lib/fleetline fleet-2026-01-30.backup`
}

// Run restores.
func (r *restoreCmd) Run(ctx context.Context, c *console) error {
	f, err := os.Open(r.File)
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer f.Close()
	err = server.Restore(ctx, r.DataDir, f, slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if errors.Is(err, server.ErrNotEmpty) {
		return hinted{err, "move the folder away, or name another with --data-dir"}
	}
	if err != nil {
		return err
	}
	return c.printDone(r.DataDir, "restored", r.JSON)
}
