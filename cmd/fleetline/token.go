package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/terminal"
)

type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Make a token and show it, this once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens."`
	Delete tokenDeleteCmd `cmd:"" help:"Delete a token: from now on it opens nothing."`
}

type tokenAddCmd struct {
	operator
	Scope []string `required:"" enum:"publish,read,admin" placeholder:"SCOPE,..." help:"What it may be used for: publish, read or admin, which includes the others."`
	Name  string   `help:"A name for people."`
}

// Help shows an example.
func (tokenAddCmd) Help() string {
	return `A program uses it as FLEETLINE_ADMIN_TOKEN, or sends it as Authorization: Bearer.

Example:

	$ fleetline token add --scope publish --name billing`
}

// Run makes the token.
func (t *tokenAddCmd) Run(ctx context.Context, c *console) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	n := api.NewToken{Name: t.Name}
	for _, s := range t.Scope {
		n.Scopes = append(n.Scopes, api.Scope(s))
	}
	made, err := client.AddToken(ctx, n)
	if err != nil {
		return err
	}
	if t.JSON {
		return c.printJSON(made)
	}
	_, err = fmt.Fprintf(c.out, "id     %s\ntoken  %s\n", terminal.Safe(made.ID), terminal.Safe(string(made.Secret)))
	fmt.Fprintln(c.err, "The token is shown this once: it is kept nowhere.")
	return err
}

type tokenListCmd struct{ operator }

// Help shows an example.
func (tokenListCmd) Help() string { return "Example:\n\n\t$ fleetline token list" }

// Run lists the tokens.
func (t *tokenListCmd) Run(ctx context.Context, c *console) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	tokens, err := client.Tokens(ctx)
	if err != nil {
		return err
	}
	if t.JSON {
		return c.printJSON(api.TokenList{Tokens: tokens})
	}
	rows := [][]string{{"ID", "NAME", "SCOPES", "CREATED", "LAST USED"}}
	for _, k := range tokens {
		rows = append(rows, []string{k.ID, k.Name, scopesOf(k), when(k.CreatedAt), when(k.LastUsedAt)})
	}
	return c.printTable(rows)
}

func scopesOf(t api.Token) string {
	words := make([]string, len(t.Scopes))
	for i, s := range t.Scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

type tokenDeleteCmd struct {
	operator
	Token string `arg:"" name:"name-or-id" help:"The token's name or its id."`
}

// Help shows an example.
func (tokenDeleteCmd) Help() string { return "Example:\n\n\t$ fleetline token delete billing" }

// Run deletes the token.
func (t *tokenDeleteCmd) Run(ctx context.Context, c *console) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	if err := client.DeleteToken(ctx, t.Token); err != nil {
		return err
	}
	return c.printDone(t.Token, "deleted", t.JSON)
}
