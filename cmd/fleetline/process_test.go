package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for something that should happen soon.
const patience = 60 * time.Second

// processes is the key of a script's processes by name.
type processes struct{}

// process is a program in the background whose output can be waited for.
type process struct {
	command  *exec.Cmd
	out, err printed
	grown    chan struct{} // one element: something was printed, or the end came
	finished chan struct{} // closed at the end, after command's state is set
	terminal *terminalPair // nil: it has none
}

// printed collects what a process prints.
type printed struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan<- struct{}
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer wake(p.grown)
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // somebody who wakes up looks at everything
	}
}

func all(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processes{}).(map[string]*process)
}

func find(ts *testscript.TestScript, name string) *process {
	p, ok := all(ts)[name]
	if !ok {
		ts.Fatalf("no process %q was started", name)
	}
	return p
}

func startProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME [VAR=value...] program args...")
	}
	p := newProcess()
	p.command = command(ts, args[1:], &p.out, &p.err)
	ts.Check(p.command.Start())
	all(ts)[args[0]] = p
	go p.wait() // ends with the process; stop waits for it
}

func newProcess() *process {
	p := &process{grown: make(chan struct{}, 1), finished: make(chan struct{})}
	p.out.grown, p.err.grown = p.grown, p.grown
	return p
}

func (p *process) wait() {
	_ = p.command.Wait()
	if p.terminal != nil {
		p.terminal.drain()
	}
	close(p.finished)
	wake(p.grown)
}

// command is a program in the script's folder and environment, with what is set before its name.
func command(ts *testscript.TestScript, args []string, out, err io.Writer) *exec.Cmd {
	var env []string
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "GOTRACEBACK", "GOCOVERDIR", raceOptions} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	for ; strings.Contains(args[0], "="); args = args[1:] {
		env = append(env, args[0])
	}
	c := exec.Command(args[0], args[1:]...)
	if path, lookErr := lookPath(ts, args[0]); lookErr == nil {
		c.Path, c.Err = path, nil
	}
	c.Dir, c.Env = ts.MkAbs("."), env
	c.Stdout, c.Stderr = out, err
	return c
}

// lookPath finds a program on the script's PATH, which is not the test's.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if path, err := exec.LookPath(dir + string(os.PathSeparator) + name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await NAME regexp [VAR]")
	}
	p, wanted := find(ts, args[0]), regexp.MustCompile("(?m)"+args[1])
	deadline := time.After(patience)
	for {
		over := p.isFinished()
		if found := p.search(wanted); found != nil {
			if len(args) == 3 {
				ts.Setenv(args[2], found[len(found)-1])
			}
			return
		}
		if over {
			ts.Fatalf("%s ended without printing %q:\n%s%s", args[0], args[1], &p.out, &p.err)
		}
		select {
		case <-p.grown:
		case <-deadline:
			ts.Fatalf("%s did not print %q:\n%s%s", args[0], args[1], &p.out, &p.err)
		}
	}
}

func (p *process) search(wanted *regexp.Regexp) []string {
	for _, text := range []string{p.out.String(), p.err.String()} {
		if found := wanted.FindStringSubmatch(text); found != nil {
			return found
		}
	}
	return nil
}

func (p *process) isFinished() bool {
	select {
	case <-p.finished:
		return true
	default:
		return false
	}
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: interrupt NAME")
	}
	ts.Check(find(ts, args[0]).command.Process.Signal(os.Interrupt))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME code")
	}
	p := find(ts, args[0])
	select {
	case <-p.finished:
	case <-time.After(patience):
		ts.Fatalf("%s goes on:\n%s%s", args[0], &p.out, &p.err)
	}
	for suffix, text := range map[string]string{".out": p.out.String(), ".err": p.err.String()} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+suffix), []byte(text), 0o600))
	}
	wantCode(ts, args[1], p.command.ProcessState.ExitCode(), p.out.String()+p.err.String())
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		ts.Fatalf("%s: %v", args[1], err)
	}
	code := 0
	if failed != nil {
		code = failed.ExitCode()
	}
	wantCode(ts, args[0], code, ts.ReadFile("stdout")+ts.ReadFile("stderr"))
}

func wantCode(ts *testscript.TestScript, want string, got int, output string) {
	if want != strconv.Itoa(got) {
		ts.Fatalf("the exit code is %d, want %s:\n%s", got, want, output)
	}
}

// stop ends a process that the script left behind.
func (p *process) stop() {
	_ = p.command.Process.Signal(os.Interrupt)
	p.end()
}

// end waits for a program that ends by itself, or has been told to.
func (p *process) end() {
	select {
	case <-p.finished:
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		<-p.finished
	}
}
