package main

import (
	"context"
	"fmt"

	"github.com/fleetline/fleetline/api"
)

type deletionsCmd struct {
	List    deletionsListCmd    `cmd:"" help:"List the deletions that are held."`
	Confirm deletionsConfirmCmd `cmd:"" help:"Say that held deletions are meant."`
}

type deletionsListCmd struct{ operator }

// Help shows an example.
func (deletionsListCmd) Help() string {
	return `Deletions that looked like a mistake (too many rows at once) or that could not be proved wait here. Their
machines are cut off, keep their keys and are told to come back.

Example:

	$ fleetline deletions list`
}

// Run lists what is held.
func (d *deletionsListCmd) Run(ctx context.Context, c *console) error {
	client, err := d.client()
	if err != nil {
		return err
	}
	held, err := client.HeldDeletions(ctx)
	if err != nil {
		return err
	}
	if d.JSON {
		return c.printJSON(api.HeldDeletions{Held: held})
	}
	rows := [][]string{{"KIND", "ID", "SINCE", "WHY"}}
	for _, h := range held {
		rows = append(rows, []string{h.Kind, h.ID, when(h.Since), h.Why})
	}
	return c.printTable(rows)
}

type deletionsConfirmCmd struct {
	operator
	IDs []string `arg:"" optional:"" name:"id" help:"The accounts and machines."`
	All bool     `help:"Everything that is held."`
}

// Help shows an example.
func (deletionsConfirmCmd) Help() string {
	return `Each row is read once more: one that is there again is not deleted.

Example:

	$ fleetline deletions confirm --all`
}

// Run confirms.
func (d *deletionsConfirmCmd) Run(ctx context.Context, c *console) error {
	if (len(d.IDs) > 0) == d.All {
		return useError("name the accounts and machines, or say --all")
	}
	client, err := d.client()
	if err != nil {
		return err
	}
	var all api.ConfirmedDeletions
	for _, which := range d.which() {
		done, err := client.ConfirmDeletions(ctx, which)
		if err != nil {
			return err
		}
		all.Deleted += done.Deleted
		all.Present += done.Present
		all.Unavailable += done.Unavailable
	}
	if d.JSON {
		return c.printJSON(all)
	}
	_, err = fmt.Fprintf(c.out, "deleted %d, there again %d, could not be read %d\n", all.Deleted, all.Present, all.Unavailable)
	return err
}

func (d *deletionsConfirmCmd) which() []api.ConfirmDeletions {
	if d.All {
		return []api.ConfirmDeletions{{All: true}}
	}
	var each []api.ConfirmDeletions
	for _, id := range d.IDs {
		each = append(each, api.ConfirmDeletions{ID: id})
	}
	return each
}
