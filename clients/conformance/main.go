// Command conformance checks a client, in whatever language it is written, against wire/SPEC.md. It
// starts the client as a program, plays a gateway that misbehaves in a named way, watches what comes
// over the wire and on standard output, and says pass or fail. README.md says what the program must
// do.
//
//	go run ./clients/conformance -- node my-client.js
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are what the command line says.
type settings struct {
	suite  suite
	only   string
	asJSON bool
	list   bool
}

// run is the command: 0 all cases passed, 1 some did not, 2 wrong use.
func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.StringVar(&s.only, "run", "", "play only the cases whose names match this regular `expression`")
	flags.BoolVar(&s.asJSON, "json", false, "print one JSON object per case")
	flags.BoolVar(&s.list, "list", false, "print the cases and why each is there, and play none")
	flags.IntVar(&s.suite.parallel, "parallel", 16, "cases played at a time")
	flags.DurationVar(&s.suite.patience, "patience", 20*time.Second, "how long the program may take for anything it has to do at once")
	flags.Usage = func() {
		fmt.Fprintln(complaints, "usage: conformance [flags] -- PROGRAM [ARGUMENT...]")
		flags.PrintDefaults()
	}
	if flags.Parse(args) != nil {
		return 2
	}
	name, err := regexp.Compile(s.only)
	if err != nil || s.suite.parallel < 1 || s.suite.patience <= 0 || flags.NArg() == 0 && !s.list {
		flags.Usage()
		return 2
	}
	s.suite.command = flags.Args()
	return play(ctx, s, name, out)
}

func play(ctx context.Context, s settings, name *regexp.Regexp, out io.Writer) int {
	var chosen []Case
	for _, c := range cases() {
		if name.MatchString(c.Name) {
			chosen = append(chosen, c)
		}
	}
	if s.list {
		printCases(out, chosen)
		return 0
	}
	report := report{out: out, asJSON: s.asJSON}
	for v := range s.suite.play(ctx, chosen) {
		report.add(v)
	}
	return report.end()
}
