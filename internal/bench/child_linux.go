package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long a child may take to end when it is asked to; a gateway waits 10 s for its
// machines.
const stopWithin = 20 * time.Second

// child is a process that the run started and ends.
type child struct {
	command *exec.Cmd
	out     io.ReadCloser // its standard output
	log     string        // the file that takes its standard error
	done    chan struct{} // closed at its end
}

// startChild starts a program in dir, with none of the settings that whoever runs the bench has. It
// is in a group of its own, so that Ctrl-C reaches the run alone, and it dies with the run.
func startChild(dir string, args []string, env ...string) (*child, error) {
	c := &child{command: exec.Command(args[0], args[1:]...), log: filepath.Join(dir, "log"), done: make(chan struct{})}
	c.command.Dir, c.command.Env = dir, append(plainEnv(), env...)
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.command.Stderr = log
	if c.out, err = c.command.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", args[0], err)
	}
	go func() { // ends with the process, which stop and kill wait for
		_, _ = c.command.Process.Wait()
		close(c.done)
	}()
	return c, nil
}

// plainEnv is what a program needs and no more.
func plainEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOMAXPROCS", "GOGC", "GODEBUG", "GORACE", "GOCOVERDIR"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (c *child) pid() int { return c.command.Process.Pid }

func (c *child) hasEnded() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// stop asks the child to end and makes it end if it does not.
func (c *child) stop() {
	_ = c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(stopWithin):
	}
	c.kill()
}

func (c *child) kill() {
	_ = c.command.Process.Kill()
	<-c.done
	_ = c.out.Close()
}

const lastBytes = 1000

// lastWords adds the end of the child's log to an error, for whoever must find out.
func (c *child) lastWords(err error) error {
	text, _ := os.ReadFile(c.log)
	if len(text) > lastBytes {
		_, text, _ = bytes.Cut(text[len(text)-lastBytes:], []byte("\n"))
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w\nits log ends with:\n\t%s", err, strings.ReplaceAll(string(text), "\n", "\n\t"))
}

var errEnded = errors.New("the server has ended")

// used is what the child has used so far.
func (c *child) used() (use, error) {
	if c.hasEnded() {
		return use{}, errEnded
	}
	return useOf(c.pid())
}

func (c *child) memory() (memory, error) {
	if c.hasEnded() {
		return memory{}, errEnded
	}
	return memoryOf(c.pid())
}

// until asks again and again until f is content; it gives up with ctx, with f's last reason.
func until(ctx context.Context, every time.Duration, f func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
