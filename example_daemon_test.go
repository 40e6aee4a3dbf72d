package fleetline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fleetline/fleetline"
)

// The exit codes a service manager is told not to restart after: RestartPreventExitStatus=3 4.
const (
	exitFailure = 1
	exitDeleted = 3
	exitBadKey  = 4
)

// A daemon: it runs until it is stopped or its machine is deleted, keeps its key and position over
// restarts, and finishes the job it has begun before it ends.
func Example_daemon() {
	gateway := startGateway(`{"type":"data","seq":1,"data":{"job":"backup"}}`, `{"type":"data","seq":2,"data":{"job":"stop"}}`)
	defer gateway.Close()
	dir, err := os.MkdirTemp("", "") // in a program: the service's StateDirectory
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	fmt.Println("exit code:", serve(gateway.URL, "flk_example", filepath.Join(dir, "fleetline.json")))
	// Output:
	// running backup
	// running stop
	// exit code: 0
}

// serve is a daemon's main; main itself is os.Exit(serve(...)).
func serve(server, key, state string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := fleetline.Connect(ctx, server, fleetline.Config{
		APIKey:   key,
		State:    fleetline.FileState(state),
		Machine:  fleetline.MachineInfo{Version: "agent 1.2.3"},
		OnStatus: report,
		Logger:   slog.Default(),
	})
	if err != nil {
		return exitCode(err) // a wrong setting, or the key that this machine was deleted with
	}
	defer func() { _ = client.Close() }()
	for msg := range client.Messages(ctx) {
		// It counts as done when the next is asked for: a daemon that is killed in a job gets it again.
		if !run(msg) {
			client.Ack() // nobody asks for another
			stop()
		}
	}
	return exitCode(client.Err())
}

// report is called at every change of the line, and must return soon.
func report(s fleetline.Status) {
	if s.Phase == fleetline.Waiting {
		slog.Warn("offline", "why", s.Reason, "next attempt in", s.Delay.Round(time.Millisecond))
	}
}

func run(msg fleetline.Message) (goOn bool) {
	var order struct{ Job string }
	if err := json.Unmarshal(msg.Data, &order); err != nil {
		slog.Error("a message that is no job", "seq", msg.Position.Seq, "err", err)
		return true
	}
	fmt.Println("running", order.Job)
	return order.Job != "stop"
}

// exitCode tells the service manager whether to start again.
func exitCode(err error) int {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return 0
	case errors.Is(err, fleetline.ErrMachineDeleted):
		return exitDeleted // the stored key is wiped
	case errors.Is(err, fleetline.ErrBadKey):
		return exitBadKey // it is kept: somebody may have rotated it
	}
	return exitFailure
}
