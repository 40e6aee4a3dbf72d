package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
	"github.com/fleetline/fleetline/wire"
)

// maxFrame is the largest frame that a gateway can be set to send.
const maxFrame = 4 << 20

type connectCmd struct {
	Server   string `env:"FLEETLINE_SERVER" default:"ws://127.0.0.1:5000" placeholder:"ADDR" help:"The gateway: host, host:port, ws(s)://... or http(s)://..."`
	StateDir string `env:"FLEETLINE_STATE_DIR,STATE_DIRECTORY" placeholder:"DIR" help:"Folder that keeps this machine's identity, position and key; the user's configuration folder if empty."`
	HWID     string `name:"hwid" env:"FLEETLINE_HWID" placeholder:"ID" help:"What tells this machine from others with the same key; made at random at the first start if empty."`
	Insecure yesNo  `env:"FLEETLINE_INSECURE" help:"Accept any certificate."`
	Readmit  bool   `name:"readmitted" help:"Try again as a machine that was deleted: an operator has taken that back."`
	JSON     bool   `name:"json" help:"Print one JSON object a line, for programs."`
}

// Help shows an example.
func (connectCmd) Help() string {
	return `Example:

	$ fleetline connect --server wss://gateway.example.com

The API key has no flag. It comes from FLEETLINE_API_KEY, or from an earlier start, or it is asked
for and kept once the gateway has accepted it.

Exit codes: 0 ended by a person, 1 failure, 2 wrong use, 3 the machine was deleted, 4 the key is not
accepted.`
}

// Run connects, and shows what comes until the line ends for good.
func (n *connectCmd) Run(ctx context.Context, c *console) error {
	if problems := n.problems(); len(problems) > 0 {
		return problems
	}
	state, err := n.state()
	if err != nil {
		return err
	}
	kept := &keptKey{FileState: state, readmitted: n.Readmit}
	config := fleetline.Config{State: kept, Machine: fleetline.MachineInfo{HWID: n.HWID, Version: version().Version}, MaxFrame: maxFrame}
	if config.APIKey, err = kept.key(ctx, c); err != nil {
		return err
	}
	if n.Insecure.value {
		fmt.Fprintln(c.err, "warning: any certificate is accepted")
		config.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	screen := c.screen(n.JSON)
	screen.Banner()
	return kept.explain(follow(ctx, n.Server, config, screen))
}

// problems are all that is wrong with the settings, before a key is asked for.
func (n *connectCmd) problems() (p server.Problems) {
	if _, err := fleetline.Endpoint(n.Server); err != nil {
		p = append(p, fmt.Sprintf("FLEETLINE_SERVER: %v", err))
	}
	if len(n.HWID) > wire.MaxField {
		p = append(p, fmt.Sprintf("FLEETLINE_HWID is longer than %d bytes", wire.MaxField))
	}
	if n.Insecure.problem != "" {
		p = append(p, "FLEETLINE_INSECURE: "+n.Insecure.problem)
	}
	return p
}

// state is a file of its own for each gateway: a key is never shown to another one.
func (n *connectCmd) state() (fleetline.FileState, error) {
	dir := n.StateDir
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return "", useError("there is no folder to keep the machine's identity in: name one with --state-dir")
		}
		dir = filepath.Join(config, "fleetline")
	}
	return fleetline.FileState(filepath.Join(dir, stateName(n.Server)+".json")), nil
}

// stateName makes a file name of a gateway's address.
func stateName(server string) string {
	if _, rest, ok := strings.Cut(server, "://"); ok {
		server = rest
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(strings.TrimRight(server, "/")))
}

// keptKey is a machine's state that also keeps a key that was typed, once the gateway has accepted
// it. It goes with everything else when the machine is deleted.
type keptKey struct {
	fleetline.FileState
	typed string
	// readmitted: a deletion that is remembered is not believed before the gateway says it again.
	readmitted bool
}

// Load reads the state.
func (k *keptKey) Load() (fleetline.State, error) {
	s, err := k.FileState.Load()
	if k.readmitted {
		s.DeletedWith = ""
	}
	return s, err
}

// Save keeps the key beside what the client keeps. Only an accepted machine has an id.
func (k *keptKey) Save(s fleetline.State) error {
	if k.typed != "" && s.MachineID != "" {
		s.APIKey = k.typed
	}
	return k.FileState.Save(s)
}

// key finds the key. It is empty when the state holds it. One that is given while another is stored
// takes its place: so a machine takes up a key that was rotated, and stays who it is.
func (k *keptKey) key(ctx context.Context, c *console) (string, error) {
	s, err := k.Load()
	if err != nil {
		return "", err
	}
	if key := secret("FLEETLINE_API_KEY"); key != "" {
		if s.APIKey != "" {
			k.typed = key
		}
		return key, nil
	}
	if s.APIKey != "" {
		return "", nil
	}
	k.typed, err = c.askSecret(ctx, "API key: ")
	if errors.Is(err, errNobody) {
		return "", hinted{useError("there is no API key"), "set FLEETLINE_API_KEY, or start once in a terminal and type it"}
	}
	return k.typed, err
}

// explain adds what a person can do about a verdict.
func (k *keptKey) explain(err error) error {
	switch {
	case errors.Is(err, fleetline.ErrMachineDeleted):
		return hinted{err, "no key is stored any more. Another key is a new start; after `fleetline machine readmit`, start with --readmitted"}
	case errors.Is(err, fleetline.ErrBadKey):
		if s, loadErr := k.Load(); loadErr == nil && s.APIKey != "" {
			return hinted{err, "set FLEETLINE_API_KEY once to the key of now: it takes the place of the one stored in " + string(k.FileState)}
		}
	}
	return err
}

func (c *console) screen(asJSON bool) *terminal.Screen {
	return terminal.New(terminal.Config{
		Out: c.out, Err: c.err,
		JSON:     asJSON,
		Terminal: terminal.IsTerminal(c.out),
		NoColor:  os.Getenv("NO_COLOR") != "",
	})
}

// follow shows a machine's line on the screen until ctx ends or the gateway has spoken a verdict.
func follow(ctx context.Context, addr string, config fleetline.Config, screen *terminal.Screen) error {
	told := config.OnStatus
	config.OnStatus = func(s fleetline.Status) {
		showStatus(screen, addr, s)
		if told != nil {
			told(s)
		}
	}
	config.OnGap = func(g fleetline.Gap) { screen.Gap(g.Until.Seq + 1) }
	client, err := fleetline.Connect(ctx, addr, config)
	if err != nil {
		return connectError(ctx, err)
	}
	for m := range client.Messages(ctx) {
		screen.Message(terminal.Message{Seq: m.Position.Seq, Epoch: m.Position.Epoch, ID: m.ID, Data: m.Data})
	}
	err = client.Err()
	return errors.Join(err, client.Close())
}

// connectError tells a verdict and the end of ctx from wrong settings: a client that may go on
// trying does not return.
func connectError(ctx context.Context, err error) error {
	var refusal *fleetline.Refusal
	var file *fs.PathError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refusal), errors.As(err, &file):
		return err
	}
	return wrongUse{err}
}

func showStatus(screen *terminal.Screen, addr string, s fleetline.Status) {
	switch s.Phase {
	case fleetline.Connecting:
		screen.State(terminal.Connecting, addr)
	case fleetline.Connected:
		screen.State(terminal.Connected, "machine "+s.MachineID)
	case fleetline.Waiting:
		screen.State(terminal.Waiting, fmt.Sprintf("%v; next attempt in %s", s.Reason, s.Delay.Round(1e8)))
	case fleetline.Ended:
		var refusal *fleetline.Refusal
		detail := "" // the sentence is told when the command ends
		if errors.As(s.Reason, &refusal) {
			detail = string(refusal.Code)
		}
		screen.State(terminal.Closed, detail)
	}
}
