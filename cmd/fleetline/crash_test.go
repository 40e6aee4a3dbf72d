package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	crashKills    = 20
	crashMessages = 100_000
	// crashAhead is how many messages may be unacknowledged.
	crashAhead = 2000
	// crashPatience is generous: the machine may be busy.
	crashPatience = 2 * time.Minute
)

// binary is a gateway in a process of its own, which can be killed.
type binary struct {
	t          testing.TB
	program    string
	env        []string
	dir        string // the data folder
	port, ops  string
	connectDir string // what the client keeps
	key        string
	command    *exec.Cmd
	log        *os.File
}

func newBinary(t testing.TB) *binary {
	b := &binary{t: t, program: "fleetline", dir: filepath.Join(t.TempDir(), "data"), connectDir: t.TempDir(), port: spare(t), ops: spare(t)}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	b.log = log
	t.Cleanup(func() {
		b.kill()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the gateway's log:\n%s", text[max(0, len(text)-8000):])
		}
		_ = log.Close()
	})
	return b
}

// built is the program as users have it. The race detector makes one that needs several times as long
// for the same messages, and a killed process tells of no races.
func built(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "fleetline")
	build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

// spare is a port that nobody has, and that nobody is given while a gateway is started anew: it lies
// below those of outgoing connections and of whoever asks for any, and each test holds the UDP ports of
// the same numbers, as in fleetlinetest.
func spare(t testing.TB) string {
	const lowest, highest, tries = 20000, 32000, 100
	var err error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(highest-lowest))
		var held net.PacketConn
		if held, err = net.ListenPacket("udp4", "127.0.0.1:"+port); err != nil {
			continue
		}
		t.Cleanup(func() { _ = held.Close() })
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal(err)
	return ""
}

func (b *binary) start() {
	b.t.Helper()
	b.command = exec.Command(b.program, "serve", "--host", "127.0.0.1", "--port", b.port,
		"--admin-addr", "127.0.0.1:"+b.ops, "--data-dir", b.dir, "--store-max-bytes", "1073741824")
	b.command.Env = append(os.Environ(), b.env...)
	b.command.Stdout, b.command.Stderr = b.log, b.log
	if err := b.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.await("the gateway is ready", func() bool {
		_, err := b.client().Ready(context.Background())
		return err == nil
	})
}

// await looks again and again until something is so.
func (b *binary) await(what string, isSo func() bool) {
	b.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(crashPatience); !isSo(); <-again.C {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// client is the operators' API. Before the first start there is no token yet.
func (b *binary) client() *api.Client {
	token, _ := os.ReadFile(filepath.Join(b.dir, "admin.token"))
	c, err := api.NewClient("http://127.0.0.1:"+b.ops, strings.TrimSpace(string(token)))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *binary) kill() {
	if b.command != nil {
		_ = b.command.Process.Kill() // SIGKILL
		_ = b.command.Wait()
		b.command = nil
	}
}

func (b *binary) stop() {
	_ = b.command.Process.Signal(syscall.SIGTERM)
	if err := b.command.Wait(); err != nil {
		b.t.Errorf("stopping the gateway: %v", err)
	}
	b.command = nil
}

// printed is a line of `fleetline connect --json`.
type printedLine struct {
	Type  string
	Seq   uint64
	State string
	Data  json.RawMessage
}

// connect runs the client in a process of its own and hands its lines to f until that is enough.
func (b *binary) connect(f func(printedLine) (enough bool)) {
	b.t.Helper()
	c := exec.Command(b.program, "connect", "--json", "--server", "ws://127.0.0.1:"+b.port, "--state-dir", b.connectDir)
	c.Env = append(os.Environ(), "FLEETLINE_API_KEY="+b.key)
	both, one, err := os.Pipe() // messages and states in the order in which they come
	if err != nil {
		b.t.Fatal(err)
	}
	defer both.Close()
	c.Stdout, c.Stderr = one, one
	err = errors.Join(c.Start(), one.Close())
	if err != nil {
		b.t.Fatal(err)
	}
	late := time.AfterFunc(3*time.Minute, func() { _ = c.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(both)
	lines.Buffer(nil, 2<<20)
	enough := false
	for !enough && lines.Scan() {
		var l printedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			b.t.Fatalf("line %q: %v", lines.Text(), err)
		}
		enough = f(l)
	}
	if !enough {
		b.t.Error("the client ended before it had everything")
	}
	_ = c.Process.Signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, both)
	if err := c.Wait(); err != nil {
		b.t.Errorf("the client: %v", err)
	}
}

// enrol connects once, so that the client has a position to come back with.
func (b *binary) enrol() {
	b.t.Helper()
	a, err := b.client().AddAccount(b.t.Context(), "crash")
	if err != nil {
		b.t.Fatal(err)
	}
	b.key = string(a.APIKey)
	if _, err := b.client().Publish(b.t.Context(), api.Message{To: api.Target{All: true}, Data: json.RawMessage("-1")}); err != nil {
		b.t.Fatal(err)
	}
	sent := false
	b.connect(func(l printedLine) bool {
		if l.State == "connected" && !sent {
			sent = true
			if _, err := b.client().Publish(b.t.Context(), api.Message{To: api.Target{All: true}, Data: json.RawMessage("-2")}); err != nil {
				b.t.Error(err)
			}
		}
		return string(l.Data) == "-2"
	})
}

// publish publishes the numbers from 0 until enough were acknowledged, and goes on over whatever
// breaks: what was not acknowledged is sent again under the same id.
func (b *binary) publish(ctx context.Context, acked *atomic.Int64) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for ; ctx.Err() == nil && acked.Load() < crashMessages; <-again.C {
		if err := b.publishSome(ctx, acked); err != nil && !isBroken(err) {
			return err
		}
	}
	return ctx.Err()
}

// isBroken tells whether an error is what a killed gateway looks like.
func isBroken(err error) bool {
	var refusal *api.Error
	return !errors.As(err, &refusal) || refusal.Code == api.CodeStreamInterrupted || refusal.Status == 503
}

func (b *binary) publishSome(ctx context.Context, acked *atomic.Int64) error {
	c := b.client()
	defer c.Close()
	s, err := c.OpenStream(ctx)
	if err != nil {
		return err // it is being started
	}
	defer s.Close()
	next := acked.Load()
	for {
		for next < min(acked.Load()+crashAhead, crashMessages) {
			n := strconv.FormatInt(next, 10)
			if err := s.Send(api.Message{To: api.Target{All: true}, Data: json.RawMessage(n), ID: n}); err != nil {
				return err
			}
			next++
		}
		if acked.Load() == crashMessages {
			return nil
		}
		r, err := s.Receive()
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return err
		}
		acked.Add(1)
	}
}

func TestNothingAcknowledgedIsLostWhenTheGatewayIsKilled(t *testing.T) {
	t.Parallel()
	b := newBinary(t)
	b.program = built(t)
	b.start()
	b.enrol()
	var acked atomic.Int64
	done := make(chan error, 1)
	go func() { done <- b.publish(t.Context(), &acked) }() // ends when all are acknowledged
	for kill := range crashKills {
		until := int64(crashMessages)*int64(kill+1)/(crashKills+1) + rand.Int64N(crashAhead)
		b.await("more is acknowledged", func() bool { return acked.Load() >= until || len(done) > 0 })
		b.kill()
		b.start()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var got []string
	b.connect(func(l printedLine) bool {
		if l.Type == "gap" {
			t.Errorf("a gap was told up to %d", l.Seq)
		}
		if l.Data != nil {
			got = append(got, string(l.Data))
		}
		return len(got) > 0 && got[len(got)-1] == strconv.Itoa(crashMessages-1)
	})
	want := make([]string, crashMessages)
	for i := range want {
		want[i] = strconv.Itoa(i)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %d messages, want %d: %s", len(got), len(want), firstDifference(got, want))
	}
	t.Logf("%d messages acknowledged over %d kills, each delivered once and in order", len(got), crashKills)
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d stands %s, want %s", i, got[i], want[i])
		}
	}
	return "one is the beginning of the other"
}

func TestAStorePutBackToAnEarlierCopyBeginsANewLifeAndClientsAreTold(t *testing.T) {
	for _, folder := range []string{".", "store", "store/log"} {
		t.Run(strings.ReplaceAll(folder, "/", "-"), func(t *testing.T) {
			t.Parallel()
			b := newBinary(t)
			b.start()
			b.enrol()
			b.stop()
			copied := filepath.Join(t.TempDir(), "copy")
			copyTree(t, filepath.Join(b.dir, folder), copied)
			b.start()
			lost := b.say("1")
			b.connect(func(l printedLine) bool { return string(l.Data) == "1" })
			b.stop()
			if err := os.RemoveAll(filepath.Join(b.dir, folder)); err != nil {
				t.Fatal(err)
			}
			copyTree(t, copied, filepath.Join(b.dir, folder))
			b.start()
			after := b.say("2")
			if after.Epoch == lost.Epoch {
				t.Errorf("the log goes on in life %s after it was put back", lost.Epoch)
			}
			told := false
			b.connect(func(l printedLine) bool {
				told = told || l.Type == "gap"
				return string(l.Data) == "2"
			})
			if !told {
				t.Error("the client was not told")
			}
		})
	}
}

func (b *binary) say(data string) api.Receipt {
	b.t.Helper()
	r, err := b.client().Publish(b.t.Context(), api.Message{To: api.Target{All: true}, Data: json.RawMessage(data)})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// copyTree copies as a backup does: modes and times are kept.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		target := filepath.Join(to, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(target, text, info.Mode().Perm())
		}
		return errors.Join(err, os.Chtimes(target, info.ModTime(), info.ModTime()))
	})
	if err != nil {
		t.Fatal(err)
	}
}
