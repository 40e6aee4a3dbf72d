// Package admin is the operators' door: the HTTP API for accounts, machines and messages, with its
// OpenAPI document, health, readiness, metrics and profiles.
//
// Every answer that is not a success is a problem document with a stable code and a hint. Callers
// show a bearer token; the Host header must name this door (a page that rebinds its own name to a
// loopback address is refused), and browsers are served only to pages of the door itself. No answer
// or log line carries a key or a token, but for the one answer that hands out a new key.
//
// The package decides nothing about machines: it asks the directory and the broker, which report
// changes to the gateway by themselves.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/limit"
	"github.com/fleetline/fleetline/wire"
)

// Token is the operators' secret. It prints as *** in every form.
type Token string

func (Token) String() string   { return "***" }
func (Token) GoString() string { return "***" }

// MarshalText keeps the token out of JSON, and so out of structured logs.
func (Token) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Config is what the door needs. Everything is required but where a zero value is described.
type Config struct {
	Token        Token
	Accounts     directory.Accounts
	AccountAdmin directory.AccountAdmin
	Machines     directory.Machines
	MachineAdmin directory.MachineAdmin
	Publisher    Publisher
	// Tokens keeps the operators' tokens.
	Tokens *broker.Shelf
	// Events are what happened to machines.
	Events *broker.Events

	// Onlooker shows what the log hands out.
	Onlooker Onlooker
	// Counts are what the node has counted.
	Counts func() Counts

	// Online counts the sessions a machine has now.
	Online func(machineID string) int
	// Look is what this node knows of a machine of an account: it sets Sessions, Held, CloneSuspected and,
	// in Because, that a deletion was reported.
	Look func(machineID, accountID string) api.Why
	// OnlineIDs lists the machines that have a session now, in any order.
	OnlineIDs func() []string
	// Ready says why the gateway should not be given work; nothing means that it should.
	Ready func() []string
	// Deletions are those that the gateway holds.
	Deletions Deletions
	// Directory says how deletions are noticed.
	Directory func() api.DirectoryHealth
	// Backup writes a backup of everything that is kept here.
	Backup func(ctx context.Context, w io.Writer) error
	// Metrics answers /metrics.
	Metrics http.Handler

	// Hosts are the names and addresses, besides those of the loopback interface, that a Host header
	// may carry. A port is ignored.
	Hosts []string
	// MaxFrame is the largest frame a message may make on its way to a machine; 0 is wire.MaxDown.
	MaxFrame int
	// Registerer takes the door's metrics; nil registers none.
	Registerer prometheus.Registerer
	// Logger gets a line for each call that changes something; nil is slog.Default().
	Logger *slog.Logger
}

func (c *Config) check() error {
	var problems []error
	for name, missing := range map[string]bool{
		"Token": c.Token == "", "Accounts": c.Accounts == nil, "AccountAdmin": c.AccountAdmin == nil,
		"Machines": c.Machines == nil, "MachineAdmin": c.MachineAdmin == nil, "Publisher": c.Publisher == nil,
		"Tokens": c.Tokens == nil, "Events": c.Events == nil, "Onlooker": c.Onlooker == nil, "Counts": c.Counts == nil,
		"Online": c.Online == nil, "Look": c.Look == nil, "OnlineIDs": c.OnlineIDs == nil, "Ready": c.Ready == nil,
		"Deletions.List": c.Deletions.List == nil, "Deletions.Confirm": c.Deletions.Confirm == nil, "Directory": c.Directory == nil,
		"Metrics": c.Metrics == nil, "Backup": c.Backup == nil,
	} {
		if missing {
			problems = append(problems, fmt.Errorf("%s is missing", name))
		}
	}
	if c.MaxFrame < 0 {
		problems = append(problems, errors.New("MaxFrame is negative"))
	}
	return errors.Join(problems...)
}

// Admin is the operators' door. It is an http.Handler; Server makes a server with the limits it
// needs.
type Admin struct {
	// fixed after construction
	cfg      Config
	log      *slog.Logger
	guard    guard
	tokens   *tokenBook
	failures *limit.Keyed[limit.Addr]
	visits   *visits
	hour     lastHour
	watchers chan struct{} // a place for each stream of events
	ids      requestIDs
	metrics  *metrics
	mux      *http.ServeMux
	// needed is the scope that each pattern of mux needs; written while routes are registered.
	needed  map[string]api.Scope
	openAPI []byte
	// ended when the server begins to shut down: long streams end
	draining context.Context
	drain    context.CancelFunc
}

// New makes the door.
func New(cfg Config) (*Admin, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuring the admin door: %w", err)
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = wire.MaxDown
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	a := &Admin{
		cfg: cfg, log: cfg.Logger, guard: newGuard(cfg.Token, cfg.Hosts), tokens: newTokenBook(cfg.Tokens, cfg.Logger),
		failures: newFailures(), visits: newVisits(), watchers: make(chan struct{}, maxWatchers), ids: newRequestIDs(),
		metrics: m, mux: http.NewServeMux(), needed: make(map[string]api.Scope),
	}
	a.draining, a.drain = context.WithCancel(context.Background())
	if err := a.routes(); err != nil {
		return nil, err
	}
	return a, nil
}

// routes registers everything and then writes down what it registered.
func (a *Admin) routes() error {
	d := newDocument(humago.New(a.mux, humaConfig()))
	a.accountRoutes(d)
	a.machineRoutes(d)
	a.whyRoutes(d)
	a.messageRoutes(d)
	a.deletionRoutes(d)
	a.tokenRoutes(d)
	a.eventRoutes(d)
	a.backupRoutes(d)
	a.frameRoutes(d)
	a.statsRoutes(d)
	a.operationRoutes(d)
	a.dashboardRoutes()
	a.mux.HandleFunc("/", a.noRoute)
	var err error
	a.openAPI, err = d.finish()
	return err
}

// humaConfig leaves out huma's own pages: the document is served from memory, and no answer gets
// fields that the api package does not know.
func humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Fleetline operator API",
				Version:     "1",
				Description: "Accounts, machines and messages. Refusals are problem documents (RFC 9457) with a stable code and a hint.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{asProblem},
	}
}

// Run keeps the door's books until ctx ends.
func (a *Admin) Run(ctx context.Context) {
	tick := time.NewTicker(usedEvery)
	defer tick.Stop()
	samples := time.NewTicker(sampleEvery)
	defer samples.Stop()
	a.sample(time.Now())
	for {
		select {
		case now := <-samples.C:
			a.sample(now)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
			defer cancel()
			a.tokens.flush(last)
			return
		case <-tick.C:
			a.tokens.flush(ctx)
		}
	}
}

// Limits of the HTTP server.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// Server makes an http.Server with the limits this door needs. The caller listens and serves; its
// Shutdown also ends streams, after the lines that were read.
func (a *Admin) Server() *http.Server {
	s := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(a.drain)
	return s
}
