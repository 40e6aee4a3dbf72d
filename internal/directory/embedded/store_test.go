package embedded

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const installation = "abcdefgh"

// store is a NATS server with JetStream, without a port.
type store struct {
	dir    string
	server atomic.Pointer[server.Server]
}

func newStore(t testing.TB) *store {
	t.Helper()
	s := &store{dir: t.TempDir()}
	s.start(t)
	t.Cleanup(s.shutdown)
	return s
}

func (s *store) start(t testing.TB) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		JetStream: true, StoreDir: s.dir, DontListen: true, NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server.Store(srv)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
}

func (s *store) shutdown() {
	s.server.Load().Shutdown()
	s.server.Load().WaitForShutdown()
}

// InProcessConn dials the server that runs now.
func (s *store) InProcessConn() (net.Conn, error) { return s.server.Load().InProcessConn() }

// line is a connection to the store that can fall silent.
type line struct {
	store *store

	mu sync.Mutex
	// Guarded by mu.
	silent  bool
	changed chan struct{}
}

func newLine(s *store) *line { return &line{store: s, changed: make(chan struct{})} }

// InProcessConn dials the server through the line.
func (l *line) InProcessConn() (net.Conn, error) {
	c, err := l.store.InProcessConn()
	return &lineConn{Conn: c, line: l, closed: make(chan struct{})}, err
}

func (l *line) fallSilent(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = on
	close(l.changed)
	l.changed = make(chan struct{})
}

type lineConn struct {
	net.Conn
	line   *line
	once   sync.Once
	closed chan struct{}
}

// Read holds back what came while the line is silent.
func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for {
		c.line.mu.Lock()
		silent, changed := c.line.silent, c.line.changed
		c.line.mu.Unlock()
		if !silent {
			return n, err
		}
		select {
		case <-changed:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
}

// Close ends a Read that is held back.
func (c *lineConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func dial(t testing.TB, s nats.InProcessConnProvider) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func openOn(t testing.TB, js jetstream.JetStream, change ...func(*Config)) *Directory {
	t.Helper()
	c := Config{JetStream: js, Installation: installation, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&c)
	}
	d, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func newDirectory(t testing.TB) *Directory { return openOn(t, dial(t, newStore(t))) }

func TestTheEmbeddedDirectoryIsADirectory(t *testing.T) {
	directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
		l := newLine(newStore(t))
		js := dial(t, l)
		return fixture(t, l, js, openOn(t, js))
	})
}

func fixture(t *testing.T, l *line, js jetstream.JetStream, d *Directory) directorytest.Fixture {
	return directorytest.Fixture{
		Accounts: d.Accounts(),
		Machines: d.Machines(),
		Admin:    d.Machines(),
		Add:      func(key directory.Key) string { return addAccount(t, d, key) },
		Delete: func(id string) {
			if err := d.Accounts().DeleteAccount(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		Rotate: func(id string, key directory.Key) {
			if err := d.Accounts().rotate(t.Context(), id, key, 0); err != nil {
				t.Fatal(err)
			}
		},
		Outage: l.fallSilent,
		Restart: func() directorytest.Fixture {
			d.Close()
			return fixture(t, l, js, openOn(t, js))
		},
	}
}

func addAccount(t testing.TB, d *Directory, key directory.Key) string {
	t.Helper()
	id, err := d.Accounts().add(t.Context(), "", key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
