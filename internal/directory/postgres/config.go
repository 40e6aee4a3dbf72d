package postgres

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// URL is a connection string. It prints as ***.
type URL string

// Format hides the connection string from every verb of fmt.
func (URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// String hides the connection string.
func (URL) String() string { return "***" }

// LogValue hides the connection string from log handlers that encode instead of print.
func (URL) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText hides the connection string from encoders.
func (URL) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Config is what a Directory is made of. URL, Installation and Logger are required.
type Config struct {
	// URL names the database: a connection string, as DATABASE_URL.
	URL   URL
	Names rows.Names
	// Installation is named by every machine id made here: 8 characters of lower-case base32.
	Installation string
	Logger       *slog.Logger
}

const (
	connectTimeout = 5 * time.Second
	// callTimeout bounds every single query.
	callTimeout = 4 * time.Second
	// connections is how many are opened at most, unless the connection string says otherwise, beside
	// the one that listens.
	connections = 8
	// patience is how long Open waits for the first word on whether changes flow.
	patience = 10 * time.Second
)

var errBadURL = errors.New("DATABASE_URL cannot be read as a connection string: postgres://user:password@host:5432/database")

func (c Config) check() error {
	var problems []error
	if c.URL == "" {
		problems = append(problems, errors.New("the connection string is missing"))
	}
	if c.Logger == nil {
		problems = append(problems, errors.New("the logger is missing"))
	}
	if !directory.IsInstallation(c.Installation) {
		problems = append(problems, fmt.Errorf("%q is no installation id", c.Installation))
	}
	problems = append(problems, c.Names.Check())
	return errors.Join(problems...)
}

// pool says how to connect. What the parser says of a bad connection string may quote it.
func (c Config) pool() (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(string(c.URL))
	if err != nil {
		return nil, errBadURL
	}
	p.PingTimeout = callTimeout
	if !strings.Contains(string(c.URL), "pool_max_conns") {
		p.MaxConns = connections
	}
	conn := p.ConnConfig
	conn.ConnectTimeout = connectTimeout
	conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	conn.DialFunc = dialer().DialContext
	// Nothing is prepared: a pooler may give each query another session, and tables may change.
	conn.DefaultQueryExecMode = pgx.QueryExecModeExec
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "fleetline"
	}
	return p, nil
}

func dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
}
