//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

// terminalPair is for Linux alone; scripts that need one ask for it.
type terminalPair struct{}

func (*terminalPair) drain() {}

func startAtTerminal(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("starttty is for Linux alone")
}

func typeText(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("type is for Linux alone") }
