package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// event is one line of the program's standard output.
type event struct {
	Event string          `json:"event"`
	Seq   uint64          `json:"seq"`
	ID    string          `json:"id"`
	Data  json.RawMessage `json:"data"`
	State string          `json:"state"`
	Code  string          `json:"code"`
}

// program is one run of the client under test.
type program struct {
	st     *stage
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stderr *tail
	stdout *tail
	// told are the events but states, in order; states only the states.
	told   chan event
	states chan event
	exited chan struct{} // closed once code is set, and problem if a line was no event
	code   int
	// problem is what was wrong with its standard output.
	problem string
}

// startProgram gives the program the environment that README.md promises.
func startProgram(st *stage, url, dir string) (*program, error) {
	ctx, cancel := context.WithCancel(st.ctx)
	command := st.suite.command
	p := &program{
		st: st, cancel: cancel, stderr: &tail{}, stdout: &tail{},
		told: make(chan event, 4096), states: make(chan event, 4096), exited: make(chan struct{}),
	}
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	p.cmd.Env = append(environment(), "FLEETLINE_SERVER="+url, "FLEETLINE_API_KEY="+st.key, "FLEETLINE_STATE_DIR="+dir)
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = time.Second
	out, in := io.Pipe()
	p.cmd.Stdout = io.MultiWriter(p.stdout, in)
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(out) }) // ends when in is closed
	go func() {                        // ends with the process, which end kills; end waits for it
		err := p.cmd.Wait()
		_ = in.Close()
		reading.Wait()
		p.code = exitCode(err)
		close(p.exited)
	}()
	return p, nil
}

// environment is ours, without what is the contract's.
func environment() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "FLEETLINE_") {
			env = append(env, e)
		}
	}
	return env
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func (p *program) read(out *io.PipeReader) {
	defer func() { _, _ = io.Copy(io.Discard, out) }()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Event == "" {
			p.problem = "a line of standard output is no event: " + lines.Text()[:min(100, len(lines.Text()))]
			return
		}
		to := p.told
		if e.Event == "state" {
			to = p.states
		}
		select {
		case to <- e:
		default:
			p.problem = "the program prints thousands of lines that nobody expects"
			return
		}
	}
}

// next waits for the next event that is no state.
func (p *program) next() event {
	select {
	case e := <-p.told:
		return e
	case <-p.exited:
		select {
		case e := <-p.told:
			return e
		default:
		}
		p.st.fail("the program ended where it should have gone on" + p.why())
	case <-time.After(p.st.suite.patience):
		p.st.fail("the program told of nothing within " + p.st.suite.patience.String() + p.why())
	}
	return event{}
}

func (p *program) why() string {
	select {
	case <-p.exited:
		if p.problem != "" {
			return " (" + p.problem + ")"
		}
	default:
	}
	return ""
}

// shows waits for these messages and nothing else.
func (p *program) shows(want ...uint64) {
	for _, seq := range want {
		e := p.next()
		p.st.check(e.Event == "data", "the program told %q, want the message %d", e.Event, seq)
		p.st.check(e.Seq == seq, "the program told the message %d, want %d", e.Seq, seq)
	}
}

// showsLive waits for a message without position.
func (p *program) showsLive(want string) {
	e := p.next()
	p.st.check(e.Event == "data" && e.Seq == 0, "the program told %q with position %d, want a message without one", e.Event, e.Seq)
	p.st.check(same(e.Data, want), "the data is %.200s, want %.200s", e.Data, want)
}

func same(a json.RawMessage, b string) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	return bytes.Equal(left, right)
}

// showsGap waits for a gap; 0: wherever it ends.
func (p *program) showsGap(until uint64) {
	e := p.next()
	p.st.check(e.Event == "gap", "the program told %q, want a gap", e.Event)
	p.st.check(until == 0 || e.Seq == until, "the gap ends at %d, want %d", e.Seq, until)
}

// isState waits for a state.
func (p *program) isState(want string) {
	timeout := time.After(p.st.suite.patience)
	for {
		select {
		case e := <-p.states:
			if e.State == want {
				return
			}
		case <-timeout:
			p.st.fail("the program did not tell the state " + want)
		}
	}
}

// ends waits for the exit, whatever was told before.
func (p *program) ends(code int, word string) {
	select {
	case <-p.exited:
	case <-time.After(p.st.suite.patience):
		p.st.fail("the program did not end")
	}
	p.st.check(p.code == code, "the exit code is %d, want %d", p.code, code)
	var last event
	for len(p.told) > 0 {
		last = <-p.told
	}
	p.st.check(last.Event == "end", "the last event is %q, want end", last.Event)
	p.st.check(word == "" || last.Code == word, "the code of the end is %q, want %q", last.Code, word)
}

// stop asks the program to end, as a system does.
func (p *program) stop() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// kill is a power cut.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *program) end() {
	p.cancel()
	<-p.exited
}

func (p *program) spoken() string { return p.stdout.String() + p.stderr.String() }

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 1 << 20
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > most {
		t.text = t.text[len(t.text)-most:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
