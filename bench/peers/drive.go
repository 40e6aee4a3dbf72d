package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// drive runs everything once and writes the page.
func drive(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	fleetline := flags.String("fleetline", "../../bin/fleetline", "the program that measures and is measured")
	node := flags.String("node", "node", "folder of the Node server, with its packages installed")
	module := flags.String("module", "../..", "folder of the gateway's source, for the simulation of a million sessions")
	out := flags.String("out", "", "file to write the page to; standard output if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	peers, err := peers(*node)
	if err != nil {
		return err
	}
	profiles, err := os.MkdirTemp("", "fleetline-profiles-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profiles)
	report, text, err := measure(ctx, *fleetline, flags.Args(), append(peers, "--profiles="+profiles))
	if report == nil {
		return err
	}
	tops, failed := topsOf(ctx, report, profiles)
	err = errors.Join(err, failed)
	if len(flags.Args()) == 0 { // everything was asked for
		text, failed = simulate(ctx, report, text, *module)
		err = errors.Join(err, failed)
	}
	// What was not measured whole is on the page, too.
	page := page(report, flags.Args(), tops)
	if *out == "" {
		_, failed := os.Stdout.WriteString(page)
		return errors.Join(err, failed)
	}
	return errors.Join(
		err,
		os.WriteFile(*out, []byte(page), 0o644),
		os.WriteFile(strings.TrimSuffix(*out, filepath.Ext(*out))+".json", text, 0o644),
	)
}

// peers are the flags that name the other servers.
func peers(node string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	script, err := filepath.Abs(filepath.Join(node, "server.js"))
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(self+script, " \t") {
		return nil, errors.New("the path of this program or of server.js has a space: move it")
	}
	return []string{
		// Half of Node's usual young space: it grows with the load and would count as memory of machines.
		"--peer=node=node --expose-gc --max-semi-space-size=8 " + script,
		"--peer=gorilla=" + self + " gorilla",
		"--peer=coder=" + self + " coder",
		"--peer=centrifuge=" + self + " centrifuge",
	}, nil
}

// stopWithin is how long the bench may take to remove what it started.
const stopWithin = 60 * time.Second

// topMost is how many functions of a profile are told.
const topMost = 8

// topsOf has pprof say, for each scenario, what the gateway spent most on.
func topsOf(ctx context.Context, r *report, folder string) (map[string]string, error) {
	tops := map[string]string{}
	for _, x := range r.Results {
		if len(x.Profiles) == 0 {
			continue
		}
		command := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-top", fmt.Sprint("-nodecount=", topMost)}, x.Profiles...)...)
		command.Dir = folder
		out, err := command.Output()
		if err != nil {
			return tops, fmt.Errorf("reading the profiles of %s: %w", x.Scenario, err)
		}
		tops[x.Scenario] = tableOf(string(out))
	}
	return tops, nil
}

// tableOf leaves out what stands before the table, the program's name and the time, and shortens names
// of generic functions, which tell all their types.
func tableOf(top string) string {
	const head, most = "      flat  flat%", 120
	_, rest, _ := strings.Cut(top, head)
	var b strings.Builder
	for line := range strings.Lines(head + rest) {
		if line = strings.TrimRight(line, "\n"); len(line) > most {
			line = line[:most] + "..."
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// thrice are flags of bench that others may follow: a host's minutes differ by more than servers do.
func thrice() []string { return []string{"--rounds=3", "--duration=3s"} }

func measure(ctx context.Context, program string, more, peers []string) (*report, []byte, error) {
	args := slices.Concat([]string{"bench", "--json"}, thrice(), more, peers)
	command := exec.CommandContext(ctx, program, args...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopWithin
	command.Stderr = os.Stderr
	text, failed := command.Output()
	if failed != nil {
		failed = fmt.Errorf("running %s bench: %w", program, failed)
	}
	var r report
	var indented bytes.Buffer
	err := errors.Join(json.Unmarshal(text, &r), json.Indent(&indented, bytes.TrimSpace(text), "", "\t"))
	if err != nil {
		return nil, nil, errors.Join(failed, fmt.Errorf("reading what bench printed: %w", err))
	}
	return &r, append(indented.Bytes(), '\n'), failed
}
