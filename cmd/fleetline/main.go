// Command fleetline is the gateway, its operators' commands and a client for the terminal, in one
// program.
//
// Each command has a file of its own: its flags, one call, and what it prints. A command prints what
// was asked for to standard output and everything else to standard error, and returns its error;
// main turns that into words and an exit code.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	os.Exit(run(os.Args[1:], &console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// console is where a command reads and prints.
type console struct {
	in       io.Reader
	out, err io.Writer
	environ  []string // as it was before .env was read
}

// cli is every command with its flags; kong reads it.
type cli struct {
	Serve     serveCmd     `cmd:"" help:"Run the gateway."`
	Demo      demoCmd      `cmd:"" help:"See it work: a gateway, a machine and real messages, in a temporary folder."`
	Connect   connectCmd   `cmd:"" help:"Connect this machine to a gateway and show what it receives."`
	Account   accountCmd   `cmd:"" help:"Accounts: the rows that hold API keys."`
	Machine   machineCmd   `cmd:"" help:"Machines: what accounts have enrolled."`
	Doctor    doctorCmd    `cmd:"" help:"Try the settings out and say what is wrong and what to do."`
	Deletions deletionsCmd `cmd:"" help:"Deletions that wait for proof or for your word."`
	Publish   publishCmd   `cmd:"" help:"Send a message to a machine, to an account's machines or to all."`
	Why       whyCmd       `cmd:"" help:"Say how a machine stands, and why."`
	Events    eventsCmd    `cmd:"" help:"Show what happens to machines as it happens."`
	Token     tokenCmd     `cmd:"" help:"Tokens of the operators' API, each for some uses."`
	Backup    backupCmd    `cmd:"" help:"Write all that a running gateway keeps into one file."`
	Restore   restoreCmd   `cmd:"" help:"Put a backup into an empty data folder."`
	Cert      certCmd      `cmd:"" help:"Make a self-signed certificate and its key."`
	Admin     adminCmd     `cmd:"" help:"The operators' API."`
	Bench     benchCmd     `cmd:"" help:"Measure a gateway on this host under the load of thousands of machines (Linux)."`
	Version   versionCmd   `cmd:"" help:"Say which version this is."`

	BenchWorker benchWorkerCmd `cmd:"" hidden:"" help:"Hold machines for bench, which starts this itself."`
}

// run carries out one command line and returns its exit code.
func run(args []string, c *console) int {
	c.environ = os.Environ()
	if err := loadDotEnv(); err != nil {
		return c.fail(err)
	}
	helped := false
	parser, err := newParser(c, &cli{}, func(int) { helped = true })
	if err != nil {
		return c.fail(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	line, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return c.fail(wrongUse{err})
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	line.BindTo(ctx, (*context.Context)(nil))
	return c.fail(line.Run(c))
}

func newParser(c *console, commands *cli, exit func(int)) (*kong.Kong, error) {
	return kong.New(commands,
		kong.Name("fleetline"),
		kong.Description("Fleetline holds one live line to every machine of a fleet."),
		kong.Writers(c.out, c.err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
}
