package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminalPair are the two ends of a pseudo-terminal: the person's and the program's.
type terminalPair struct {
	person  *os.File
	drained chan struct{} // closed when all that was printed has been read

	mu      sync.Mutex // guards program against being closed while it is asked
	program *os.File
}

func openTerminal() (*terminalPair, error) {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return &terminalPair{person: person, program: program, drained: make(chan struct{})}, err
}

func startAtTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: starttty NAME [VAR=value...] program args...")
	}
	pair, err := openTerminal()
	ts.Check(err)
	p := newProcess()
	p.terminal = pair
	p.command = command(ts, args[1:], pair.program, pair.program)
	p.command.Stdin = pair.program
	p.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(p.command.Start())
	all(ts)[args[0]] = p
	go pair.copyTo(&p.out) // ends when nobody has the program's end open any more
	go p.wait()            // ends with the process; stop waits for it
}

// copyTo reads until the terminal hangs up, which Linux reports as an error.
func (p *terminalPair) copyTo(out *printed) {
	defer close(p.drained)
	buf := make([]byte, 4096)
	for {
		n, err := p.person.Read(buf)
		_, _ = out.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

// drain waits for what the ended program printed last.
func (p *terminalPair) drain() {
	p.mu.Lock()
	_ = p.program.Close()
	p.mu.Unlock()
	<-p.drained
	_ = p.person.Close()
}

// typeText types a file's first line when the program has turned the echo off, as a person waits
// for the question.
func typeText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || !strings.HasPrefix(args[1], "file:") {
		ts.Fatalf("usage: type NAME file:FILE")
	}
	p := find(ts, args[0])
	if p.terminal == nil {
		ts.Fatalf("%s has no terminal", args[0])
	}
	text := strings.TrimSpace(ts.ReadFile(strings.TrimPrefix(args[1], "file:")))
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); p.terminal.echoes(ts); <-again.C {
		if time.Now().After(deadline) {
			ts.Fatalf("%s shows what is typed:\n%s", args[0], &p.out)
		}
	}
	_, err := p.terminal.person.WriteString(text + "\n")
	ts.Check(err)
}

func (p *terminalPair) echoes(ts *testscript.TestScript) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	settings, err := unix.IoctlGetTermios(int(p.program.Fd()), unix.TCGETS)
	ts.Check(err)
	return settings.Lflag&unix.ECHO != 0
}
