package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/cmd/fleetline/figures"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
)

// demoStore is plenty for one machine, and little of anybody's disk.
const demoStore = 256 << 20

type demoCmd struct {
	Seconds number `placeholder:"N" help:"End after so many seconds of messages; 0 is never."`
}

// Help shows an example.
func (demoCmd) Help() string {
	return `Example:

	$ fleetline demo

It starts a gateway in a temporary folder, makes an account, connects this host as a machine and
sends it this host's own figures once a second, through the operators' API. It prints commands for a
second terminal; the last one deletes the machine and so ends the demo with exit code 3.`
}

// Run runs the demo.
func (d *demoCmd) Run(ctx context.Context, c *console) (err error) {
	if d.Seconds.problem != "" || d.Seconds.value < 0 {
		return useError("--seconds takes a whole number that is not negative")
	}
	dir, err := os.MkdirTemp("", "fleetline-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	show := &demo{console: c, screen: terminal.New(c.look("")), dir: dir, length: time.Duration(d.Seconds.value) * time.Second}
	show.screen.Banner(version().Version)
	return show.run(ctx)
}

// demo is one run of the demo.
type demo struct {
	// Fixed after construction.
	console *console
	screen  *terminal.Screen
	dir     string
	length  time.Duration // 0: until somebody ends it
}

// run starts the gateway and ends it last: whatever the machine was told has reached it by then.
func (d *demo) run(ctx context.Context) error {
	gateway, err := d.open(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var served error
	var work sync.WaitGroup
	work.Go(func() { // ends with serving
		served = gateway.Run(serving)
		end()
	})
	err = d.use(ctx, end, gateway)
	stop()
	work.Wait()
	return errors.Join(served, err, gateway.Close())
}

func (d *demo) open(ctx context.Context) (*server.Server, error) {
	return server.Open(ctx, server.Config{
		DataDir:       d.dir,
		Addr:          freePort("127.0.0.1:5000"),
		AdminAddr:     freePort("127.0.0.1:5001"),
		StoreMaxBytes: demoStore,
		Drain:         time.Second,
		ShowFirstKey:  func(string, string) {}, // the demo makes an account as a user would
		Version:       version().Version,
		Logger:        slog.New(slog.NewTextHandler(d.console.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

// freePort is addr, or any free port of its host if another program has it.
func freePort(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
		return addr
	}
	host, _, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, "0")
}

// use does what a user does: makes an account, connects a machine and publishes to it.
func (d *demo) use(ctx context.Context, end func(), gateway *server.Server) error {
	client, err := api.NewClient(gateway.AdminURL(), string(gateway.AdminToken()))
	if err != nil {
		return err
	}
	defer client.Close()
	account, err := client.AddAccount(ctx, "demo")
	if err != nil {
		return err
	}
	connected := make(chan string, 1)
	config := fleetline.Config{
		APIKey:  string(account.APIKey),
		State:   fleetline.FileState(filepath.Join(d.dir, "machine.json")),
		Machine: fleetline.MachineInfo{Version: version().Version},
		OnStatus: func(s fleetline.Status) {
			if s.Phase == fleetline.Connected {
				select {
				case connected <- s.MachineID:
				default: // connected before
				}
			}
		},
	}
	var work sync.WaitGroup
	work.Go(func() { d.feed(ctx, end, client, connected) }) // ends with ctx
	err = (&line{addr: gateway.URL(), config: config, screen: d.screen}).hold(ctx)
	end()
	work.Wait()
	return err
}

// feed publishes this host's figures to the machine, once a second, until ctx ends.
func (d *demo) feed(ctx context.Context, end func(), client *api.Client, connected <-chan string) {
	var machine string
	select {
	case machine = <-connected:
	case <-ctx.Done():
		return
	}
	d.screen.Space()
	d.screen.Note(d.commands(machine))
	if d.length > 0 {
		defer time.AfterFunc(d.length, end).Stop()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := publishFigures(ctx, client, machine)
		if errors.Is(err, api.CodeMachineNotFound) {
			return // it was deleted, and is being told
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprint(d.console.err, explain(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func publishFigures(ctx context.Context, client *api.Client, machine string) error {
	data, err := json.Marshal(figures.Read())
	if err != nil {
		return fmt.Errorf("encoding the figures: %w", err)
	}
	_, err = client.Publish(ctx, api.Message{To: api.Target{Machine: machine}, Data: data})
	return err
}
