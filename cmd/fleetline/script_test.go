package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// raceOptions are for the race detector in the programs that tests start; the tests' own it has read
// by then. Programs wait for what they began, so there is nothing to look at after their ends.
const raceOptions, quickEnd = "GORACE", "atexit_sleep_ms=0"

// TestMain makes this test's own binary the program that the scripts run.
func TestMain(m *testing.M) {
	// The race detector would have every program that a test starts wait for a second at its end.
	if err := os.Setenv(raceOptions, quickEnd); err != nil {
		panic(err)
	}
	testscript.Main(leakChecked{m}, map[string]func(){"fleetline": main})
}

// leakChecked are tests that must leave no goroutine behind.
type leakChecked struct{ tests *testing.M }

// Run runs the tests.
func (l leakChecked) Run() int {
	code := l.tests.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestTheCommandLine runs the scripts in testdata. Beside testscript's own words they know
//
//	start NAME [VAR=value...] program args...  runs a program in the background
//	starttty NAME ...           does so at a terminal (Linux alone)
//	type NAME file:FILE         types what stands in the file, once the terminal does not show it
//	await NAME regexp [VAR]      waits until it has printed this; VAR is set to the first group
//	interrupt NAME               sends it SIGINT, as Ctrl-C does
//	ended NAME code              waits for its end; its output is in NAME.out and NAME.err
//	exits code program args...   runs a program, which must end with this code
func TestTheCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:               prepare,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": startProcess, "starttty": startAtTerminal, "type": typeText, "await": await, "interrupt": interrupt, "ended": ended, "exits": exits,
		},
	})
}

// prepare gives each script a home of its own. Settings of whoever runs the test do not reach it.
func prepare(env *testscript.Env) error {
	env.Setenv(raceOptions, quickEnd)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
	env.Values[processes{}] = map[string]*process{}
	env.Defer(func() {
		for _, p := range env.Values[processes{}].(map[string]*process) {
			p.stop()
		}
	})
	return nil
}
