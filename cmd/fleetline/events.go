package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/terminal"
)

type eventsCmd struct {
	operator
	After string `placeholder:"ID" help:"Begin after the event of this id; 0 begins with the oldest that is kept."`
}

// Help shows an example.
func (eventsCmd) Help() string {
	return `Machines that are enrolled, connect, disconnect and are deleted, until Ctrl-C. When the gateway is away it waits
for it and goes on where it was. With --json each line is an event, with the id to go on after.

Example:

	$ fleetline events --json --after 0`
}

// eventsPause is the wait before a gateway that is away is called again.
const eventsPause = 2 * time.Second

// Run prints events as they come.
func (e *eventsCmd) Run(ctx context.Context, c *console) error {
	last, opened := e.After, false
	for {
		err := e.follow(ctx, c, &last, &opened)
		var refused *api.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case !opened, errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
			return err
		}
		fmt.Fprintln(c.err, "the stream of events ended; trying again")
		pause := time.NewTimer(eventsPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// follow prints one stream. The address is looked up each time: a gateway that was restarted may have
// another.
func (e *eventsCmd) follow(ctx context.Context, c *console, last *string, opened *bool) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.Close()
	stream, err := client.Events(ctx, *last)
	if err != nil {
		return err
	}
	defer stream.Close()
	*opened = true
	for {
		ev, err := stream.Next()
		if err != nil {
			return err
		}
		if err := c.printEvent(ev, e.JSON); err != nil {
			return err
		}
		*last = cmp.Or(ev.ID, *last)
	}
}

func (c *console) printEvent(ev api.Event, asJSON bool) error {
	if asJSON {
		return c.printJSON(ev)
	}
	line := fmt.Sprintf("%s  %-20s", when(ev.Time), ev.Type)
	for _, word := range []string{ev.MachineID, ev.Address} {
		if word != "" {
			line += "  " + word
		}
	}
	if ev.Code != 0 {
		line += fmt.Sprintf("  %d", ev.Code)
	}
	if ev.Reason != "" {
		line += "  " + ev.Reason
	}
	if ev.Lost != 0 {
		line += fmt.Sprintf("  %d or more", ev.Lost)
	}
	_, err := fmt.Fprintln(c.out, terminal.Safe(line))
	return err
}
