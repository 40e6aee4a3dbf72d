package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/terminal"
)

type accountCmd struct {
	Add    accountAddCmd    `cmd:"" help:"Make an account and show its key, this once."`
	List   accountListCmd   `cmd:"" help:"List the accounts."`
	Delete accountDeleteCmd `cmd:"" help:"Delete an account and every machine it has."`
	Rotate accountRotateCmd `cmd:"" help:"Give an account a new key and show it, this once."`
}

type accountAddCmd struct {
	operator
	Name string `arg:"" optional:"" help:"A name for people."`
}

// Help shows an example.
func (accountAddCmd) Help() string { return "Example:\n\n\t$ fleetline account add warehouse" }

// Run makes the account.
func (a *accountAddCmd) Run(ctx context.Context, c *console) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	made, err := client.AddAccount(ctx, a.Name)
	if err != nil {
		return err
	}
	return c.printKey(made, a.JSON)
}

func (c *console) printKey(k api.AccountKey, asJSON bool) error {
	if asJSON {
		return c.printJSON(k)
	}
	_, err := fmt.Fprintf(c.out, "account  %s\nAPI key  %s\n", terminal.Safe(k.ID), terminal.Safe(string(k.APIKey)))
	fmt.Fprintln(c.err, "The key is shown this once: it is kept nowhere.")
	return err
}

type accountListCmd struct{ operator }

// Help shows an example.
func (accountListCmd) Help() string { return "Example:\n\n\t$ fleetline account list --json" }

// Run lists the accounts.
func (a *accountListCmd) Run(ctx context.Context, c *console) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	accounts, err := client.Accounts(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return c.printJSON(api.AccountList{Accounts: accounts})
	}
	rows := [][]string{{"ID", "NAME", "CREATED"}}
	for _, account := range accounts {
		rows = append(rows, []string{account.ID, account.Name, when(account.CreatedAt)})
	}
	return c.printTable(rows)
}

type accountDeleteCmd struct {
	operator
	ID string `arg:"" help:"The account."`
}

// Help shows an example.
func (accountDeleteCmd) Help() string {
	return "Example:\n\n\t$ fleetline account delete acc_k3v9q0"
}

// Run deletes the account.
func (a *accountDeleteCmd) Run(ctx context.Context, c *console) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	if err := client.DeleteAccount(ctx, a.ID); err != nil {
		return err
	}
	return c.printDone(a.ID, "deleted", a.JSON)
}

// done is what a command prints that changed something and has nothing else to tell.
type done struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func (c *console) printDone(id, status string, asJSON bool) error {
	if asJSON {
		return c.printJSON(done{id, status})
	}
	_, err := fmt.Fprintf(c.out, "%s is %s\n", terminal.Safe(id), status)
	return err
}

type accountRotateCmd struct {
	operator
	ID    string        `arg:"" help:"The account."`
	Grace time.Duration `default:"0s" help:"How long the old key goes on working, in whole seconds."`
}

// Help shows an example.
func (accountRotateCmd) Help() string {
	return "Example:\n\n\t$ fleetline account rotate acc_k3v9q0 --grace 24h"
}

// Run gives the account a new key.
func (a *accountRotateCmd) Run(ctx context.Context, c *console) error {
	if a.Grace < 0 || a.Grace%time.Second != 0 {
		return useError("--grace %s is not a number of whole seconds", a.Grace)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	made, err := client.RotateKey(ctx, a.ID, a.Grace)
	if err != nil {
		return err
	}
	return c.printKey(made, a.JSON)
}
