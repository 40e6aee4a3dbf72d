package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/bench"
)

type benchCmd struct {
	Scenarios []string      `arg:"" optional:"" name:"scenario" help:"idle, auth, heartbeat, fanout, unicast, storm, delete and slow; all if none is named."`
	Machines  int           `default:"15000" placeholder:"N" help:"How many machines are connected; fewer where descriptors do not suffice."`
	Duration  time.Duration `default:"5s" help:"How long each rate is measured."`
	Rounds    int           `default:"1" placeholder:"N" help:"How often everything is measured, each server in its turn; medians are told. idle and slow are measured once."`
	ServerArg []string      `sep:"none" placeholder:"FLAG" help:"A further flag of the gateway, such as --server-arg=--sync-always."`
	Peer      []string      `sep:"none" placeholder:"NAME=COMMAND" help:"Another server to measure beside the gateway; see bench/peers."`
	Profiles  string        `type:"existingdir" placeholder:"FOLDER" help:"Keep CPU profiles of the gateway here, one for each part that is measured."`
	JSON      bool          `name:"json" help:"Print JSON, for programs."`
}

// Help shows an example.
func (benchCmd) Help() string {
	return `Examples:

	$ fleetline bench
	$ fleetline bench fanout unicast --machines 5000 --duration 10s --json

It starts a gateway in a temporary folder, on free ports of 127.0.0.1, and connects machines from
processes of its own. Both share this host's processors, so compare figures of one run. Everything
is stopped and removed at the end, by Ctrl-C too.`
}

// Run measures and prints what was measured, also when a part of it could not be.
func (b *benchCmd) Run(ctx context.Context, c *console) error {
	config, err := b.config(c)
	if err != nil {
		return err
	}
	report, err := bench.Run(ctx, config)
	if report == nil {
		return err
	}
	report.Host.Revision = version().Revision
	if b.JSON {
		return errors.Join(err, c.printJSON(report))
	}
	return errors.Join(err, c.printReport(report))
}

func (b *benchCmd) config(c *console) (bench.Config, error) {
	program, err := os.Executable()
	if err != nil {
		return bench.Config{}, fmt.Errorf("looking for the program itself: %w", err)
	}
	config := bench.Config{
		Program: program, Scenarios: b.Scenarios, Machines: b.Machines, Duration: b.Duration, Rounds: b.Rounds,
		ServerArgs: b.ServerArg, Profiles: b.Profiles, Log: c.err,
	}
	for _, text := range b.Peer {
		peer, err := bench.ParsePeer(text)
		if err != nil {
			return config, wrongUse{err}
		}
		config.Peers = append(config.Peers, peer)
	}
	if err := config.Check(); err != nil {
		return config, wrongUse{err}
	}
	return config, nil
}

// printReport prints a table for each scenario. Where other servers took part, the gateway's figure
// is given as a multiple of theirs.
func (c *console) printReport(r *bench.Report) error {
	h := r.Host
	fmt.Fprintf(c.out, "%s, %d cores, %d MiB; Linux %s, %s %s %s\n%d machines, rates over %g s, the median of %d\n", h.CPU, h.Cores, h.MemoryMiB,
		h.Kernel, h.Go, h.System, h.Revision, r.Machines, r.Seconds, r.Rounds)
	for _, scenario := range r.Scenarios() {
		var rows [][]string
		own := r.Of(scenario, "fleetline")
		head := []string{strings.ToUpper(scenario), "UNIT"}
		for _, server := range r.Servers() {
			if r.Of(scenario, server) != nil {
				head = append(head, strings.ToUpper(server))
			}
		}
		rows = append(rows, head)
		for _, f := range own.Figures {
			rows = append(rows, figureRow(r, scenario, f))
		}
		fmt.Fprintln(c.out)
		if err := c.printTable(rows); err != nil {
			return err
		}
		c.printNotes(r, scenario)
	}
	return nil
}

func figureRow(r *bench.Report, scenario string, f bench.Figure) []string {
	row := []string{f.Text, f.Unit, figure(f.Value)}
	for _, server := range r.Servers()[1:] {
		result := r.Of(scenario, server)
		if result == nil {
			continue
		}
		cell := ""
		if other := result.Figure(f.Key); other != nil {
			cell = figure(other.Value)
			if other.Value != 0 {
				cell += fmt.Sprintf(" (%.2fx)", f.Value/other.Value)
			}
		}
		row = append(row, cell)
	}
	return row
}

func (c *console) printNotes(r *bench.Report, scenario string) {
	for _, server := range r.Servers() {
		result := r.Of(scenario, server)
		if result == nil {
			continue
		}
		fmt.Fprintf(c.out, "  %s: took %.1f s; before it the load average was %.2f, and one write of 128 B to a socket took %.2f us of CPU, a fresh page %.2f us\n",
			server, result.Took, result.Load, result.Write, result.Fault)
		for _, note := range result.Notes {
			fmt.Fprintf(c.out, "  %s: %s\n", server, note)
		}
		if result.Error != "" {
			fmt.Fprintf(c.out, "  %s: NOT MEASURED WHOLE: %s\n", server, result.Error)
		}
	}
}

// figure prints three digits, or all that stand before the point.
func figure(v float64) string {
	switch {
	case v >= 100 || v <= -100 || v == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1 || v <= -1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

type benchWorkerCmd struct{}

// Run takes orders from standard input until it ends. Ctrl-C at the terminal is for bench, which
// ends its workers.
func (benchWorkerCmd) Run(c *console) error { return bench.Work(c.in, c.out) }
