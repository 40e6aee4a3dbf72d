package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/terminal"
)

type whyCmd struct {
	operator
	ID string `arg:"" name:"machine" help:"The machine."`
}

// Help shows an example.
func (whyCmd) Help() string {
	return `Is it online, since when and from where, how did its last sessions end, and what waits for it. A machine that was
deleted is explained too.

Example:

	$ fleetline why mch_a1b2c3d4_k3v9q0`
}

// Run explains.
func (w *whyCmd) Run(ctx context.Context, c *console) error {
	client, err := w.client()
	if err != nil {
		return err
	}
	why, err := client.Why(ctx, w.ID)
	if err != nil {
		return err
	}
	if w.JSON {
		return c.printJSON(why)
	}
	fmt.Fprintf(c.out, "%s is %s: %s\n\n", terminal.Safe(why.MachineID), why.Standing, terminal.Safe(why.Because))
	if err := c.printTable(whyFacts(why)); err != nil {
		return err
	}
	if len(why.Sessions) > 0 {
		fmt.Fprintln(c.out)
		if err := c.printTable(liveRows(why.Sessions)); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.out)
	return c.printTable(endRows(why.Ends))
}

func whyFacts(w api.Why) [][]string {
	waiting := fmt.Sprint(w.Waiting)
	if w.MoreWaiting {
		waiting += " or more"
	}
	if w.Position == 0 {
		waiting = "not known"
	}
	rows := [][]string{
		{"account", w.AccountID},
		{"last seen", when(w.LastSeenAt)},
		{"position", count(w.Position)},
		{"messages waiting", waiting},
		{"clone suspected", yes(w.CloneSuspected)},
		{"ends known since", when(w.KeptSince)},
	}
	if w.Held != nil {
		rows = append(rows, []string{"held since", when(w.Held.Since)})
	}
	if !w.DeletedAt.IsZero() {
		rows = append(rows, []string{"deleted", when(w.DeletedAt)})
	}
	return rows
}

func liveRows(sessions []api.LiveSession) [][]string {
	rows := [][]string{{"SESSION", "SINCE", "ADDRESS", "NODE", "POSITION", "STATE"}}
	for _, s := range sessions {
		var state []string
		if s.Behind {
			state = append(state, "behind")
		}
		if s.Bare {
			state = append(state, "old client")
		}
		rows = append(rows, []string{s.ID, when(s.Since), s.Address, s.Node, count(s.Position), strings.Join(state, ", ")})
	}
	return rows
}

func endRows(ends []api.SessionEnd) [][]string {
	rows := [][]string{{"ENDED", "CODE", "REASON", "ADDRESS", "SESSION"}}
	for _, e := range ends {
		rows = append(rows, []string{when(e.Time), fmt.Sprint(e.Code), e.Reason, e.Address, e.SessionID})
	}
	return rows
}
