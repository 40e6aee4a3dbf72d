// Command peers measures other servers beside the gateway. It is a module of its own: nothing of it
// is linked into the product.
//
//	go run . [--fleetline ../../bin/fleetline] [--out FILE.md] [-- FLAGS OF fleetline bench]
//
// runs `fleetline bench` once for everything, with these servers as its peers, and writes what that
// printed, and the ratios, as a page. The servers are this program too:
//
//	go run . gorilla|coder|centrifuge --heartbeat 30s
//
// Each speaks the small protocol that fleetline's internal/bench describes (Peer): an auth frame that
// is answered, pings and pongs, and data to all or to one, asked for over HTTP. None checks a key,
// signs a token, stores anything or limits anybody: what the gateway does beyond that counts against
// it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	serve := map[string]func(context.Context, time.Duration) error{
		"gorilla": serveGorilla, "coder": serveCoder, "centrifuge": serveCentrifuge,
	}
	if len(args) > 0 && serve[args[0]] != nil {
		flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
		heartbeat := flags.Duration("heartbeat", 30*time.Second, "time between two pings")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serve[args[0]](ctx, *heartbeat)
	}
	return drive(ctx, args)
}
