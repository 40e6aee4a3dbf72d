package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/api"
)

type publishCmd struct {
	operator
	Machine string        `xor:"to" required:"" placeholder:"ID" help:"Send to this machine."`
	Account string        `xor:"to" required:"" placeholder:"ID" help:"Send to every machine of this account."`
	All     bool          `xor:"to" required:"" help:"Send to every machine there is."`
	ID      string        `name:"id" help:"Id of the message: published again, it is not stored again."`
	Live    bool          `help:"Do not store: only machines that are online get it."`
	TTL     time.Duration `name:"ttl" default:"0s" help:"Forget the message after this time, in whole seconds; 0 is when the gateway does."`
	Data    string        `arg:"" optional:"" default:"-" help:"JSON, or else a text. With -, each line of standard input is a message."`
}

// Help shows an example.
func (publishCmd) Help() string {
	return `Examples:

	$ fleetline publish --machine mch_a1b2c3d4_k3v9q0 '{"restart":true}'
	$ tail -f events.ndjson | fleetline publish --all -

What does not begin with {, [ or " and is no JSON is sent as a JSON string.`
}

// Run publishes one message or one for each line.
func (p *publishCmd) Run(ctx context.Context, c *console) error {
	if p.TTL < 0 || p.TTL%time.Second != 0 {
		return useError("--ttl %s is not a number of whole seconds", p.TTL)
	}
	if p.Data == "-" {
		if p.ID != "" {
			return useError("--id names one message, and standard input may hold many")
		}
		return p.runLines(ctx, c)
	}
	m, err := p.message([]byte(p.Data))
	if err != nil {
		return wrongUse{err}
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	receipt, err := client.Publish(ctx, m)
	if err != nil {
		return err
	}
	if p.JSON {
		return c.printJSON(receipt)
	}
	_, err = fmt.Fprintln(c.out, p.sentence(receipt))
	return err
}

func (p *publishCmd) sentence(r api.Receipt) string {
	switch {
	case r.Duplicate:
		return fmt.Sprintf("published before, as #%d", r.Seq)
	case r.Seq == 0:
		return "published live"
	}
	return fmt.Sprintf("published as #%d", r.Seq)
}

func (p *publishCmd) message(text []byte) (api.Message, error) {
	data, err := dataOf(text)
	m := api.Message{
		To:         api.Target{Machine: p.Machine, Account: p.Account, All: p.All},
		Data:       data,
		ID:         p.ID,
		TTLSeconds: int64(p.TTL / time.Second),
	}
	if p.Live {
		m.Mode = api.Live
	}
	return m, err
}

// dataOf takes JSON as it is and makes a JSON string of a text. What only looks like JSON is
// refused: a message with a bracket missing must not arrive as a text.
func dataOf(text []byte) (json.RawMessage, error) {
	text = bytes.TrimSpace(text)
	switch {
	case json.Valid(text):
		return text, nil
	case len(text) == 0:
		return nil, errors.New("there is no data")
	case bytes.ContainsRune([]byte(`{["`), rune(text[0])):
		return nil, errors.New("the data looks like JSON but is not valid")
	}
	return json.Marshal(string(text))
}
