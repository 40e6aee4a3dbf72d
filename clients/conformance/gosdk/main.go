// Command gosdk is the Go SDK as the program that clients/conformance checks.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fleetline/fleetline"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	out := &lines{encoder: json.NewEncoder(os.Stdout)}
	err := follow(ctx, out)
	stop()
	code, word := outcome(err)
	out.say(event{Event: "end", Code: word})
	os.Exit(code)
}

// event is one line of standard output.
type event struct {
	Event string          `json:"event"`
	Seq   uint64          `json:"seq,omitempty"`
	ID    string          `json:"id,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
	State string          `json:"state,omitempty"`
	Code  string          `json:"code,omitempty"`
}

// lines keeps the lines of two goroutines apart.
type lines struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

func (l *lines) say(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.encoder.Encode(e)
}

// follow shows what comes until the line ends.
func follow(ctx context.Context, out *lines) error {
	client, err := fleetline.Connect(ctx, os.Getenv("FLEETLINE_SERVER"), fleetline.Config{
		APIKey:   os.Getenv("FLEETLINE_API_KEY"),
		State:    fleetline.FileState(filepath.Join(os.Getenv("FLEETLINE_STATE_DIR"), "state.json")),
		OnStatus: func(s fleetline.Status) { out.say(event{Event: "state", State: s.Phase.String()}) },
		OnGap:    func(g fleetline.Gap) { out.say(event{Event: "gap", Seq: g.Until.Seq}) },
	})
	if err != nil {
		return err
	}
	for m := range client.Messages(ctx) {
		out.say(event{Event: "data", Seq: m.Position.Seq, ID: m.ID, Data: m.Data})
		hold(ctx, m.Data)
	}
	return errors.Join(client.Err(), client.Close())
}

// hold takes as long over a message as the message says.
func hold(ctx context.Context, data json.RawMessage) {
	var wish struct {
		HoldMs int64 `json:"holdMs"`
	}
	if json.Unmarshal(data, &wish) != nil || wish.HoldMs == 0 {
		return
	}
	select {
	case <-time.After(time.Duration(wish.HoldMs) * time.Millisecond):
	case <-ctx.Done():
	}
}

// outcome is the exit code and the word of an end.
func outcome(err error) (int, string) {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return 0, "closed"
	case errors.Is(err, fleetline.ErrMachineDeleted):
		return 3, "machine_deleted"
	case errors.Is(err, fleetline.ErrBadKey):
		return 4, "bad_key"
	case errors.Is(err, fleetline.ErrProtocol):
		return 1, "protocol"
	}
	return 1, "failure"
}
