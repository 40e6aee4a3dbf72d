// Package fleetlinetest is a whole gateway in one call: for the tests of programs that use the SDK,
// and for Fleetline's own.
//
//	func TestMyDaemon(t *testing.T) {
//		g := fleetlinetest.Start(t)
//		_, key := g.AddAccount("test")
//		client, err := fleetline.Connect(t.Context(), g.URL, fleetline.Config{APIKey: key})
//		...
//		g.Publish(api.Target{All: true}, `{"hello":"machine"}`)
//	}
//
// It is the real gateway with its embedded directory and broker, on free ports of 127.0.0.1 and in a
// folder that is removed with the test. It starts in milliseconds.
package fleetlinetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/server"
)

// Config are the settings a test may want to change. Zero means the default of the gateway.
type Config struct {
	// Heartbeat is the time between two pings.
	Heartbeat time.Duration
	// TokenLife is how long a session token is good.
	TokenLife time.Duration
	// MaxFrameUp and MaxFrameDown bound frames from and to machines, in bytes.
	MaxFrameUp, MaxFrameDown int
	// StoreMaxBytes bounds the store; 0: 256 MiB.
	StoreMaxBytes int64
	// Origins are the browser origins that may connect; nil: the gateway's own host.
	Origins []string
	// DatabaseURL, or SupabaseURL and SupabaseKey, name a database that keeps the accounts; empty: the
	// gateway keeps them itself.
	DatabaseURL, SupabaseURL, SupabaseKey string
	// DataDir keeps the gateway's data; empty: a folder that is removed with the test.
	DataDir string
	// Logger hears what the gateway logs; nil: nobody.
	Logger *slog.Logger
}

// Gateway is a running gateway.
type Gateway struct {
	// URL is where machines connect.
	URL string
	// AdminURL is where the operators' API is; API calls it.
	AdminURL string
	API      *api.Client
	// DataDir is where the gateway keeps its data.
	DataDir string

	t      testing.TB
	config server.Config
	server *server.Server
	stop   context.CancelFunc
	done   chan error
}

// Start starts a gateway that ends with the test.
func Start(t testing.TB) *Gateway {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith starts a gateway with settings.
func StartWith(t testing.TB, c Config) *Gateway {
	t.Helper()
	if c.DataDir == "" {
		c.DataDir = t.TempDir()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.StoreMaxBytes == 0 {
		c.StoreMaxBytes = 256 << 20
	}
	g := &Gateway{t: t, DataDir: c.DataDir, config: server.Config{
		DataDir:       c.DataDir,
		Heartbeat:     c.Heartbeat,
		TokenLife:     c.TokenLife,
		MaxFrameUp:    c.MaxFrameUp,
		MaxFrameDown:  c.MaxFrameDown,
		StoreMaxBytes: c.StoreMaxBytes,
		Origins:       c.Origins,
		DatabaseURL:   server.Secret(c.DatabaseURL),
		SupabaseURL:   c.SupabaseURL,
		SupabaseKey:   server.Secret(c.SupabaseKey),
		Drain:         2 * time.Second,
		ShowFirstKey:  func(string, string) {}, // tests make their own accounts
		Version:       "test",
		Logger:        c.Logger,
	}}
	t.Cleanup(g.Stop) // before the start, which may end the test half way
	g.start()
	return g
}

func (g *Gateway) start() {
	g.t.Helper()
	s, err := g.open()
	if err != nil {
		g.t.Fatalf("starting a gateway: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g.server, g.stop, g.done = s, stop, make(chan error, 1)
	go func() { g.done <- errors.Join(s.Run(ctx), s.Close()) }() // Stop ends it and waits
	g.URL, g.AdminURL = s.URL(), s.AdminURL()
	if g.API, err = api.NewClient(g.AdminURL, string(s.AdminToken())); err != nil {
		g.t.Fatalf("starting a gateway: %v", err)
	}
	g.waitReady()
}

// open opens the server, the first time on ports that nobody has.
func (g *Gateway) open() (*server.Server, error) {
	if g.server != nil {
		return server.Open(context.Background(), g.config)
	}
	const tries = 20
	var err error
	for range tries {
		g.config.Addr, g.config.AdminAddr = spareAddr(g.t), spareAddr(g.t)
		var s *server.Server
		if s, err = server.Open(context.Background(), g.config); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return s, err
		}
	}
	return nil, err
}

// spareAddr is an address that the gateway finds free again after a stop: its port lies below those
// that systems give to outgoing connections and to whoever asks for any, and other tests are not given
// it either, because each holds the UDP ports of the same numbers while it runs.
func spareAddr(t testing.TB) string {
	const lowest, highest, tries = 20000, 32000, 100
	var err error
	for range tries {
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		var held net.PacketConn
		if held, err = net.ListenPacket("udp4", addr); err == nil {
			t.Cleanup(func() { _ = held.Close() })
			return addr
		}
	}
	t.Fatalf("looking for a port: %v", err)
	return ""
}

// waitReady returns when the gateway says that it is ready.
func (g *Gateway) waitReady() {
	g.t.Helper()
	const within = time.Minute // the machine may be busy
	deadline := time.Now().Add(within)
	for {
		_, err := g.API.Ready(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("starting a gateway: not ready after %s: %v", within, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// Stop stops the gateway gracefully. Calling it again is nothing.
func (g *Gateway) Stop() {
	g.t.Helper()
	if g.stop == nil {
		return
	}
	g.stop()
	g.stop = nil
	g.API.Close()
	if err := <-g.done; err != nil {
		g.t.Errorf("stopping the gateway: %v", err)
	}
}

// Restart stops the gateway and starts it again with the same data, on the same ports.
func (g *Gateway) Restart() {
	g.t.Helper()
	g.Stop()
	g.start()
}

// Resume starts a gateway again that was stopped, with the same data, on the same ports.
func (g *Gateway) Resume() {
	g.t.Helper()
	g.start()
}

// Server is the running program, for tests inside this module.
func (g *Gateway) Server() *server.Server { return g.server }

// AddAccount makes an account and returns its id and its key.
func (g *Gateway) AddAccount(name string) (id, key string) {
	g.t.Helper()
	a, err := g.API.AddAccount(context.Background(), name)
	if err != nil {
		g.t.Fatalf("adding an account: %v", err)
	}
	return a.ID, string(a.APIKey)
}

// Publish stores a message of JSON text.
func (g *Gateway) Publish(to api.Target, text string) api.Receipt {
	g.t.Helper()
	r, err := g.API.Publish(context.Background(), api.Message{To: to, Data: json.RawMessage(text)})
	if err != nil {
		g.t.Fatalf("publishing: %v", err)
	}
	return r
}
