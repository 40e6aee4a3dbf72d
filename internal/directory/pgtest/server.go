package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// Both are generous: the machine may be busy.
	startTimeout = time.Minute
	callTimeout  = 30 * time.Second
)

// settings make a server quick to start and to throw away. synchronous_commit stays on: without it
// logical decoding lags.
const settings = `
listen_addresses = ''
fsync = off
synchronous_commit = on
full_page_writes = off
shared_buffers = 32MB
max_connections = 200
max_replication_slots = 40
log_timezone = UTC
timezone = UTC
autovacuum_naptime = 1h
`

// Server is one PostgreSQL server.
type Server struct {
	// Fixed after construction.
	bin string
	dir string // holds data/, the socket and the log

	// Owned by whoever starts and stops it.
	cmd *exec.Cmd

	databases atomic.Int64
}

// Start starts a server for one test, with extra lines for its postgresql.conf, such as
// "wal_level=logical".
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	s, err := start(extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

func start(extra ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	err = s.fillData()
	if err == nil {
		err = s.configure(settings + strings.Join(extra, "\n") + "\n")
	}
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// makeDir makes a folder that the server's user can reach and whose path leaves room for the name of
// a socket (107 bytes); the folders of t.TempDir are neither.
func makeDir() (string, error) {
	parent := "/tmp"
	if !isThere(parent) {
		parent = os.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "flpg")
	if err == nil {
		err = own(dir)
	}
	if err != nil {
		return "", fmt.Errorf("making a folder for PostgreSQL: %w", err)
	}
	return dir, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// configure appends to postgresql.conf; what comes last counts.
func (s *Server) configure(lines string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	_, err = f.WriteString(lines + "unix_socket_directories = '" + s.dir + "'\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	return nil
}

// run runs one of PostgreSQL's programs to its end, as whom the server runs.
func (s *Server) run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	if err := disguise(cmd); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", name, err, &out)
	}
	return nil
}

// launch starts the server on its folder and returns when it takes connections.
func (s *Server) launch() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data())
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if err := disguise(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s.cmd = cmd
	if err := s.waitReady(); err != nil {
		story, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.stop(syscall.SIGQUIT)
		return fmt.Errorf("starting PostgreSQL: %w\n%s", err, story)
	}
	return nil
}

func (s *Server) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Stop cuts the server off as a power failure of its own would. Its databases are there again after
// Restart.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		t.Fatal("the server is stopped already")
	}
	s.stop(syscall.SIGQUIT)
}

// stop returns when the process is gone.
func (s *Server) stop(how os.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(how)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts a stopped server again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) remove() {
	s.stop(syscall.SIGQUIT)
	_ = os.RemoveAll(s.dir)
}

// url names a database over the server's socket.
func (s *Server) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.dir
}

// Exec runs SQL in the server's own database.
func (s *Server) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	(&Database{URL: s.url("postgres")}).Exec(t, sql, args...)
}

// Standby starts a server that follows this one.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	standby := &Server{bin: s.bin, dir: dir}
	t.Cleanup(standby.remove)
	err = standby.run("pg_basebackup", "-d", s.url("postgres"), "-D", standby.data(), "-R", "-X", "stream", "-c", "fast")
	if err == nil {
		err = standby.configure("")
	}
	if err == nil {
		err = standby.launch()
	}
	if err != nil {
		t.Fatal(err)
	}
	return standby
}

// On is the same database on another server, a standby.
func (s *Server) On(d *Database) *Database { return &Database{Name: d.Name, URL: s.url(d.Name)} }
