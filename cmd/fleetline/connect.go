package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
	"github.com/fleetline/fleetline/wire"
)

// maxFrame is the largest frame that a gateway can be set to send.
const maxFrame = 4 << 20

type connectCmd struct {
	Server   string `env:"FLEETLINE_SERVER" default:"ws://127.0.0.1:5000" placeholder:"ADDR" help:"The gateway: host, host:port, ws(s)://... or http(s)://..."`
	StateDir string `env:"FLEETLINE_STATE_DIR,STATE_DIRECTORY" placeholder:"DIR" help:"Folder that keeps this machine's identity, position and key; the system keyring if empty or, without one, the user's configuration folder."`
	HWID     string `name:"hwid" env:"FLEETLINE_HWID" placeholder:"ID" help:"What tells this machine from others with the same key; made at random at the first start if empty."`
	CA       string `name:"ca" env:"FLEETLINE_CA" placeholder:"FILE" help:"Certificates (PEM) to trust beside the system's, for a gateway with one of its own."`
	Insecure yesNo  `env:"FLEETLINE_INSECURE" help:"Accept any certificate; for development alone."`
	Lang     choice `env:"FLEETLINE_LANG" placeholder:"LANG" help:"Language: en or zh; that of the locale if empty."`
	Check    bool   `help:"Check the server and say what is wrong, nothing else; exit code 0 if all is well, 1 if not."`
	Readmit  bool   `name:"readmitted" help:"Try again as a machine that was deleted: an operator has taken that back."`
	Exec     string `placeholder:"CMD" help:"Hand each message to this program on its standard input, and go on once it has ended with 0."`
	JSON     bool   `name:"json" help:"Print one JSON object a line for each message, for programs, and everything else to standard error."`
}

// Help shows an example.
func (connectCmd) Help() string {
	return `Example:

	$ fleetline connect --server wss://gateway.example.com

The API key has no flag. It comes from FLEETLINE_API_KEY, or from an earlier start, or it is asked
for and kept once the gateway has accepted it.

The shell runs the program of --exec once for each message, with FLEETLINE_SEQ and FLEETLINE_ID in
its environment; what it prints goes to standard error. A message that it does not end with 0 for is
handed to it again, also after a restart. HTTPS_PROXY, HTTP_PROXY and NO_PROXY are heeded.

Exit codes: 0 ended by a person, 1 failure, 2 wrong use, 3 the machine was deleted, 4 the key is not
accepted.`
}

// Run checks the server, connects, and shows what comes until the line ends for good.
func (n *connectCmd) Run(ctx context.Context, c *console) error {
	trust, problems := n.trust()
	if problems = append(n.problems(), problems...); len(problems) > 0 {
		return problems
	}
	screen := n.screen(c)
	screen.Banner(version().Version)
	if n.Insecure.value {
		screen.Warn(terminal.WordInsecure, terminal.WordInsecureMore)
	}
	check := checkup{addr: n.Server, config: fleetline.Config{TLS: trust}, screen: screen}
	if n.Check {
		return check.run(ctx)
	}
	place, err := n.place(screen.Language())
	if err != nil {
		return err
	}
	kept := &keptKey{place: place, console: c, readmitted: n.Readmit}
	if err := n.prepare(ctx, check, kept); err != nil {
		return err
	}
	return n.line(trust, screen, kept).hold(ctx)
}

// prepare does what comes before the connection: the check, for a person, and the question for the
// key, which is only asked if there is somebody to use it.
func (n *connectCmd) prepare(ctx context.Context, check checkup, kept *keptKey) error {
	if _, err := kept.Load(); err != nil {
		return err
	}
	_, err := kept.key(ctx)
	needed := errors.Is(err, fleetline.ErrNoKey)
	screen := check.screen
	if needed && !kept.console.hasTerminal() {
		screen.End(terminal.Ending{Sentence: screen.Language().Say(terminal.WordNoKey), Advice: screen.Language().Say(terminal.WordNoKeyAdvice)})
		return alreadyTold{wrongUse{err}}
	}
	if !screen.HasPerson() && !needed {
		return nil
	}
	err = check.run(ctx)
	if err == nil {
		screen.Check(terminal.Finding{Topic: terminal.WordState, Text: kept.place.what})
	}
	screen.Space()
	if !needed || ctx.Err() != nil {
		return context.Cause(ctx) // what is wrong with the server may pass
	}
	if err != nil {
		screen.End(terminal.Ending{Sentence: screen.Language().Say(terminal.WordNotAsked)})
		return err
	}
	err = kept.ask(ctx, screen.Language())
	screen.Space()
	return err
}

// line is the machine's line with everything that these settings say of it.
func (n *connectCmd) line(trust *tls.Config, screen *terminal.Screen, kept *keptKey) *line {
	l := &line{addr: n.Server, screen: screen, kept: kept, config: fleetline.Config{
		KeyFunc:  kept.key,
		State:    kept,
		Machine:  fleetline.MachineInfo{HWID: n.HWID, Version: version().Version},
		TLS:      trust,
		MaxFrame: maxFrame,
	}}
	if n.Exec != "" {
		l.program = &program{command: n.Exec, out: kept.console.err, screen: screen}
	}
	return l
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
	if problem := n.Lang.check("en", "zh"); problem != "" {
		p = append(p, "FLEETLINE_LANG: "+problem)
	}
	return p
}

// trust says which certificates are believed; nil: the system's.
func (n *connectCmd) trust() (*tls.Config, server.Problems) {
	if n.Insecure.value {
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	if n.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(n.CA)
	if err != nil {
		return nil, server.Problems{fmt.Sprintf("FLEETLINE_CA: %v", err)}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // then the file's alone
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, server.Problems{fmt.Sprintf("FLEETLINE_CA: %s holds no certificate (PEM)", n.CA)}
	}
	return &tls.Config{RootCAs: roots}, nil
}

// screen of a check prints to standard output: nothing else was asked for.
func (n *connectCmd) screen(c *console) *terminal.Screen {
	config := c.look(string(n.Lang))
	config.JSON = n.JSON
	if n.Check {
		config.Err, config.ErrTerminal = config.Out, config.Terminal
	}
	return terminal.New(config)
}

// look is how this console shows things to the person at it.
func (c *console) look(lang string) terminal.Config {
	getenv := func(name string) string { return os.Getenv(name) }
	return terminal.Config{
		Out: c.out, Err: c.err,
		Terminal: terminal.IsTerminal(c.out), ErrTerminal: terminal.IsTerminal(c.err),
		NoColor:  os.Getenv("NO_COLOR") != "",
		ASCII:    !terminal.IsUTF8(getenv) && runtime.GOOS != "windows" && runtime.GOOS != "darwin",
		Language: terminal.LanguageOf(cmp.Or(lang, os.Getenv("FLEETLINE_LANG")), getenv),
	}
}
