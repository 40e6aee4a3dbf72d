package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/admin"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory/embedded"
	"github.com/fleetline/fleetline/internal/gateway"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is a gateway with everything it needs.
type Server struct {
	// Fixed after construction.
	config     Config
	log        *slog.Logger
	registry   *prometheus.Registry
	broker     *broker.Broker
	events     *broker.Events
	own        *embedded.Directory // keeps the machines, at least, unless there is a table for them
	books      books
	gateway    *gateway.Gateway
	cert       *certificate // nil: no TLS
	adminToken Secret
	admin      *admin.Admin
	machines   door
	operators  door

	// hub is set once there is one; the broker's lease counts its sessions.
	hub atomic.Pointer[session.Hub]

	closeOnce sync.Once
	closeErr  error
}

// door is one port and what serves it.
type door struct {
	listener net.Listener
	http     *http.Server
	scheme   string
}

// Open checks the settings and opens everything; Run serves. If Open fails, nothing is left open.
func Open(ctx context.Context, c Config) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &Server{config: c, log: c.Logger, registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// The first account comes last: a start that fails has shown nobody a key.
	for _, step := range []func(context.Context) error{s.openStore, s.openDirectory, s.openSecrets, s.openGateway, s.openDoors, s.makeFirstAccount} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// openStore comes first: its lock keeps a second process out of the data folder.
func (s *Server) openStore(ctx context.Context) (err error) {
	if err := makeDataDir(s.config.DataDir); err != nil {
		return err
	}
	s.broker, err = broker.Open(ctx, broker.Config{
		Dir:        filepath.Join(s.config.DataDir, storeDir),
		MaxBytes:   s.config.StoreMaxBytes,
		SyncAlways: s.config.SyncAlways,
		MaxData:    s.config.MaxFrameDown - broker.FrameRoom,
		Sessions:   s.sessions,
		Logger:     s.log,
		Registerer: s.registry,
	})
	if err == nil {
		s.events, err = broker.OpenEvents(ctx, s.broker)
	}
	return err
}

// sessions is asked for before there is a gateway, too.
func (s *Server) sessions() int {
	if hub := s.hub.Load(); hub != nil {
		return hub.Len()
	}
	return 0
}

func (s *Server) openSecrets(context.Context) (err error) {
	s.adminToken, err = keptSecret(s.config.AdminToken, filepath.Join(s.config.DataDir, AdminTokenFile))
	if err != nil {
		return err
	}
	if s.config.AdminToken != "" {
		// Operator commands on this host find the token here.
		if err := writeFile(filepath.Join(s.config.DataDir, AdminTokenFile), string(s.adminToken)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openGateway(context.Context) error {
	secret, err := keptSecret(s.config.JWTSecret, filepath.Join(s.config.DataDir, jwtFile))
	if err != nil {
		return err
	}
	tokens, err := token.New(token.Config{
		Secret:       token.Secret(secret),
		Previous:     token.Secret(s.config.JWTSecretPrevious),
		Installation: s.broker.Installation(),
		Life:         s.config.TokenLife,
		Dev:          s.config.Dev,
	})
	if err != nil {
		return err
	}
	proxies, err := parseProxies(s.config.TrustedProxies)
	if err != nil {
		return err
	}
	s.gateway, err = gateway.New(gateway.Config{
		Log:         s.broker,
		Revocations: s.broker,
		Reader:      gateway.ReadFrom(s.broker),
		Accounts:    s.books.accounts,
		Machines:    s.books.machines,
		Tokens:      tokens,
		NewEngine: func(h socket.Handler) (socket.Engine, error) {
			return socket.New(socket.Config{Handler: h, MaxFrame: s.config.MaxFrameUp, Logger: s.log, Registerer: s.registry})
		},
		Logger:         s.log,
		Heartbeat:      s.config.Heartbeat,
		TrustedProxies: proxies,
		Origins:        s.config.Origins,
		Registerer:     s.registry,
		Tell:           s.events.Tell,
	})
	if err == nil {
		s.hub.Store(s.gateway.Hub())
	}
	return err
}

func (s *Server) openDoors(ctx context.Context) (err error) {
	s.tellLimit()
	if s.config.TLSCert != "" {
		if s.cert, err = newCertificate(s.config.TLSCert, s.config.TLSKey); err != nil {
			return err
		}
	}
	l, err := socket.Listen(ctx, s.config.Addr, s.log)
	if err != nil {
		return fmt.Errorf("opening port %s: %w", s.config.Addr, err)
	}
	proxies, err := parseProxies(s.config.TrustedProxies)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	entrance := newAnteroom(l, proxies)
	if s.cert == nil {
		if entrance.Listener, err = s.gateway.Receive(l, entrance.enter, headerTimeout); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	s.machines = s.newDoor(entrance, s.cert != nil, s.machineServer(entrance.left))
	if s.admin, err = s.newAdmin(ctx); err != nil {
		return err
	}
	if l, err = net.Listen("tcp", s.config.AdminAddr); err != nil {
		return fmt.Errorf("opening port %s: %w", s.config.AdminAddr, err)
	}
	s.operators = s.newDoor(l, s.cert != nil && !isLoopback(s.config.AdminAddr), s.admin.Server())
	return nil
}

func (s *Server) newAdmin(ctx context.Context) (*admin.Admin, error) {
	hub := s.gateway.Hub()
	tokens, err := broker.OpenShelf(ctx, s.broker, "tokens")
	if err != nil {
		return nil, err
	}
	return admin.New(admin.Config{
		Token:        admin.Token(s.adminToken),
		Accounts:     s.books.accounts,
		AccountAdmin: s.books.accountAdmin,
		Machines:     s.books.machines,
		MachineAdmin: s.books.machineAdmin,
		Publisher:    s.broker,
		Tokens:       tokens,
		Onlooker:     s.broker,
		Counts:       s.counts,
		Events:       s.events,
		Online:       hub.Count,
		Look:         s.look,
		OnlineIDs:    hub.Machines,
		Ready:        s.gateway.NotReady,
		Deletions:    admin.Deletions{List: s.heldDeletions, Confirm: s.confirmDeletions},
		Directory:    s.directoryHealth,
		Backup:       s.backup,
		Metrics:      promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}),
		Hosts:        s.config.AdminHosts,
		MaxFrame:     s.config.MaxFrameDown,
		Registerer:   s.registry,
		Logger:       s.log,
	})
}

// Limits of the machines' port: what a slow or hostile handshake can hold.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 16 << 10
)

func (s *Server) machineServer(left func(net.Conn, http.ConnState)) *http.Server {
	return &http.Server{
		ConnState:         left,
		Handler:           s.gateway.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) newDoor(l net.Listener, secure bool, srv *http.Server) door {
	d := door{listener: l, scheme: "http", http: srv}
	if secure {
		d.scheme, d.http.TLSConfig = "https", s.cert.config()
		// A connection is taken over as it is; HTTP/2 could not be.
		d.http.Protocols = new(http.Protocols)
		d.http.Protocols.SetHTTP1(true)
	}
	return d
}

func (d door) serve() error {
	var err error
	if d.scheme == "https" {
		err = d.http.ServeTLS(d.listener, "", "")
	} else {
		err = d.http.Serve(d.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving %s: %w", d.listener.Addr(), err)
}

// url is how the port is reached from this host.
func (d door) url(scheme string) string {
	addr := d.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(addr.Port)))
}

// URL is where machines connect, as seen from this host.
func (s *Server) URL() string {
	if s.machines.scheme == "https" {
		return s.machines.url("wss")
	}
	return s.machines.url("ws")
}

// AdminURL is where the operators' API is.
func (s *Server) AdminURL() string { return s.operators.url(s.operators.scheme) }

// AdminToken opens the operators' API.
func (s *Server) AdminToken() Secret { return s.adminToken }

// Broker is the server's log, for tests that make it fail.
func (s *Server) Broker() *broker.Broker { return s.broker }

// Gateway is the machines' door, for tests that look at its sessions.
func (s *Server) Gateway() *gateway.Gateway { return s.gateway }

func (s *Server) removeAddr() error {
	err := os.Remove(filepath.Join(s.config.DataDir, AdminAddrFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
