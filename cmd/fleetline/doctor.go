package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
)

// doctorCmd takes the settings of serve, so that both see the same.
type doctorCmd struct {
	settings
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

// Help shows an example.
func (doctorCmd) Help() string {
	return `Everything that serve would use is tried, and nothing is changed. Where something is missing in the
database, the SQL to paste is printed. Ends with 1 if anything fails.

Example:

	$ fleetline doctor`
}

// finding is one of them for programs.
type finding struct {
	Topic string `json:"topic"`
	Level string `json:"level"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
	SQL   string `json:"sql,omitempty"`
}

var errFindings = errors.New("something does not work: see above")

// Run looks and says what it found.
func (d *doctorCmd) Run(ctx context.Context, c *console) error {
	config, err := d.config(c)
	var problems server.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	config.Logger = slog.New(slog.DiscardHandler)
	found := server.Diagnose(ctx, config, problems)
	if err := d.print(c, found); err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(f directory.Finding) bool { return f.Level == directory.Fail }) {
		return errFindings
	}
	return nil
}

func (d *doctorCmd) print(c *console, found []directory.Finding) error {
	if !d.JSON {
		shown := map[string]bool{"": true}
		for _, f := range found {
			if shown[f.SQL] {
				f.SQL = "" // long, and to be run once
			}
			shown[f.SQL] = true
			printFinding(c.out, f)
		}
		return nil
	}
	list := []finding{}
	for _, f := range found {
		list = append(list, finding{f.Topic, f.Level.String(), f.Text, f.Hint, f.SQL})
	}
	return c.printJSON(map[string][]finding{"findings": list})
}

// printFinding is one line, with what to do below it.
func printFinding(w io.Writer, f directory.Finding) {
	fmt.Fprintf(w, "%-5s %-16s %s\n", f.Level, terminal.Safe(f.Topic), terminal.Safe(f.Text))
	if f.Hint != "" {
		fmt.Fprintf(w, "%22s hint: %s\n", "", terminal.Safe(f.Hint))
	}
	for line := range strings.Lines(f.SQL) {
		fmt.Fprintf(w, "%22s %s\n", "", terminal.Safe(strings.TrimRight(line, "\n")))
	}
}
