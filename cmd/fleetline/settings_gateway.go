package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
)

// settings are those of a gateway.
type settings struct {
	Host           string   `env:"HOST" help:"Address that machines reach; all if empty."`
	Port           number   `env:"PORT" default:"5000" help:"Port that machines reach; 0 takes any free one."`
	AdminAddr      string   `env:"FLEETLINE_ADMIN_ADDR" default:"127.0.0.1:5001" help:"Address of the operators' API."`
	AdminHosts     []string `env:"FLEETLINE_ADMIN_HOSTS" placeholder:"NAME" help:"Further names by which the operators' API is called."`
	DataDir        string   `env:"FLEETLINE_DATA_DIR,STATE_DIRECTORY" default:"fleetline-data" placeholder:"DIR" help:"Folder that everything is kept in."`
	Heartbeat      duration `env:"FLEETLINE_HEARTBEAT" default:"30s" help:"Time between two pings."`
	MaxFrameUp     number   `env:"FLEETLINE_MAX_FRAME_UP" default:"65536" placeholder:"BYTES" help:"Largest frame from a machine."`
	MaxFrameDown   number   `env:"FLEETLINE_MAX_FRAME_DOWN" default:"1048576" placeholder:"BYTES" help:"Largest frame to a machine; messages must fit it."`
	TokenLife      duration `env:"FLEETLINE_TOKEN_LIFE" default:"15m" help:"How long a session token is good."`
	StoreMaxBytes  number   `env:"FLEETLINE_STORE_MAX_BYTES" default:"0" placeholder:"BYTES" help:"Bound of the store; 0 is half of the free disk."`
	SyncAlways     yesNo    `env:"FLEETLINE_SYNC_ALWAYS" help:"Write every message to the disk itself before it is acknowledged."`
	TrustedProxies []string `env:"FLEETLINE_TRUSTED_PROXIES" placeholder:"PREFIX" help:"Proxies whose X-Forwarded-For is believed; loopback if empty. cloudflare names its published ranges."`
	Origins        []string `env:"FLEETLINE_ORIGINS" placeholder:"ORIGIN" help:"Browser origins that may connect; the gateway's own if empty."`
	TLSCert        string   `name:"tls-cert" env:"FLEETLINE_TLS_CERT" placeholder:"FILE" help:"Certificate (PEM); cert.pem of the working directory if it is there."`
	TLSKey         string   `name:"tls-key" env:"FLEETLINE_TLS_KEY" placeholder:"FILE" help:"Key of the certificate (PEM); key.pem of the working directory if it is there."`
	SupabaseURL    string   `name:"supabase-url" env:"SUPABASE_URL" placeholder:"URL" help:"Take accounts from this Supabase project."`
	Schema         string   `env:"FLEETLINE_SCHEMA" default:"public" help:"Schema of the tables in Supabase or Postgres."`
	AccountsTable  string   `env:"FLEETLINE_ACCOUNTS_TABLE" default:"user" help:"Table of the accounts there."`
	AccountsID     string   `name:"accounts-id" env:"FLEETLINE_ACCOUNTS_ID" default:"id" help:"Its column with an account's id."`
	AccountsKey    string   `env:"FLEETLINE_ACCOUNTS_KEY" default:"apikey" help:"Its column with an account's API key."`
	MachinesTable  string   `env:"FLEETLINE_MACHINES_TABLE" default:"machines" help:"Table of the machines there, if it is installed."`
	Dev            yesNo    `env:"FLEETLINE_DEV" help:"Allow weak secrets, for development."`
	LogLevel       choice   `env:"FLEETLINE_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat      choice   `env:"FLEETLINE_LOG_FORMAT" default:"text" help:"text or json."`
}

// config makes the server's settings, or says everything that is wrong with them.
func (s *settings) config(c *console) (server.Config, error) {
	port, _ := s.port()
	config := server.Config{
		DataDir:           s.DataDir,
		Addr:              net.JoinHostPort(s.Host, strconv.FormatInt(port, 10)),
		AdminAddr:         s.AdminAddr,
		AdminHosts:        s.AdminHosts,
		AdminToken:        server.Secret(secret("FLEETLINE_ADMIN_TOKEN")),
		JWTSecret:         server.Secret(secret("JWT_SECRET")),
		JWTSecretPrevious: server.Secret(secret("JWT_SECRET_PREVIOUS")),
		SupabaseURL:       s.SupabaseURL,
		SupabaseKey:       server.Secret(secret("SUPABASE_SERVICE_ROLE_KEY")),
		DatabaseURL:       server.Secret(secret("DATABASE_URL")),
		Names:             rows.Names{Schema: s.Schema, Accounts: s.AccountsTable, ID: s.AccountsID, Key: s.AccountsKey, Machines: s.MachinesTable},
		NATSURL:           secret("NATS_URL"),
		Heartbeat:         s.Heartbeat.value,
		MaxFrameUp:        int(s.MaxFrameUp.value),
		MaxFrameDown:      int(s.MaxFrameDown.value),
		TokenLife:         s.TokenLife.value,
		StoreMaxBytes:     s.StoreMaxBytes.value,
		SyncAlways:        s.SyncAlways.value,
		TrustedProxies:    s.TrustedProxies,
		Origins:           s.Origins,
		Dev:               s.Dev.value,
		Version:           version().Version,
		Logger:            s.logger(c),
	}
	config.TLSCert, config.TLSKey = s.certificate()
	if terminal.IsTerminal(c.out) {
		config.ShowFirstKey = func(account, key string) { c.showFirstKey(account, key) }
	}
	problems := s.problems()
	var more server.Problems
	if errors.As(config.Check(), &more) {
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return config, problems
	}
	return config, nil
}

// port is 0 if it has a problem, so that the same thing is not reported twice.
func (s *settings) port() (port int64, problem string) {
	if s.Port.problem != "" {
		return 0, s.Port.problem
	}
	if s.Port.value < 0 || s.Port.value > 65535 {
		return 0, fmt.Sprintf("%d is no port: choose between 0 and 65535", s.Port.value)
	}
	return s.Port.value, ""
}

// problems are those that only the texts of the settings show.
func (s *settings) problems() (p server.Problems) {
	_, port := s.port()
	for _, setting := range []struct{ name, problem string }{
		{"PORT", port},
		{"FLEETLINE_HEARTBEAT", s.Heartbeat.problem},
		{"FLEETLINE_MAX_FRAME_UP", s.MaxFrameUp.problem},
		{"FLEETLINE_MAX_FRAME_DOWN", s.MaxFrameDown.problem},
		{"FLEETLINE_TOKEN_LIFE", s.TokenLife.problem},
		{"FLEETLINE_STORE_MAX_BYTES", s.StoreMaxBytes.problem},
		{"FLEETLINE_SYNC_ALWAYS", s.SyncAlways.problem},
		{"FLEETLINE_DEV", s.Dev.problem},
		{"FLEETLINE_LOG_LEVEL", s.LogLevel.check("debug", "info", "warn", "error")},
		{"FLEETLINE_LOG_FORMAT", s.LogFormat.check("text", "json")},
	} {
		if setting.problem != "" {
			p = append(p, setting.name+": "+setting.problem)
		}
	}
	return p
}

// certificate is the pair that was named, or the one in the working directory. Half a pair counts
// too: who has lost the other half must hear of it, and not serve without TLS.
func (s *settings) certificate() (cert, key string) {
	if s.TLSCert != "" || s.TLSKey != "" || !isFile(certFile) && !isFile(keyFile) {
		return s.TLSCert, s.TLSKey
	}
	return certFile, keyFile
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (s *settings) logger(c *console) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cmp.Or(s.LogLevel, "info"))) // problems says what is wrong with it
	options := &slog.HandlerOptions{Level: level}
	switch {
	case s.LogFormat == "json":
		return slog.New(slog.NewJSONHandler(c.err, options))
	case isJournal(c.err):
		return slog.New(newJournalHandler(c.err, level))
	}
	return slog.New(slog.NewTextHandler(c.err, options))
}
