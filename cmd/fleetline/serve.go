package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/fleetline/fleetline/internal/server"
)

type serveCmd struct{ settings }

// Help shows an example.
func (serveCmd) Help() string {
	return `Example:

	$ fleetline serve --port 5000 --data-dir /var/lib/fleetline

Secrets have no flags: JWT_SECRET, JWT_SECRET_PREVIOUS and FLEETLINE_ADMIN_TOKEN come from the
environment or from .env, or are made at the first start; so do SUPABASE_SERVICE_ROLE_KEY, which goes with
SUPABASE_URL, and DATABASE_URL. ` + "`fleetline doctor`" + ` tries all settings out.`
}

// Run serves until it is told to stop.
func (s *serveCmd) Run(ctx context.Context, c *console) error {
	config, err := s.config(c)
	if err != nil {
		return err
	}
	if config.Dev {
		config.Logger.Warn("development mode: weak secrets are allowed")
	}
	collectEarly()
	config.OnServing = func() {
		if err := notifyReady(); err != nil {
			config.Logger.Warn("the service manager does not hear that machines are served", "err", err)
		}
	}
	gateway, err := server.Open(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(gateway.Run(ctx), gateway.Close())
}

// garbagePercent is how much garbage may gather before it is collected, in percent of what is in use.
// What stays of a storm of machines lies scattered among what goes: with Go's own 100, a machine costs
// 100 to 200 bytes more for good. It is paid with some 3 % of the CPU of connecting.
const garbagePercent = 50

// collectEarly leaves it to whoever sets GOGC.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// showFirstKey is for the terminal of a person who starts a gateway for the first time.
func (c *console) showFirstKey(account, key string) {
	fmt.Fprintf(c.out, "The first account was made: %s\nIts API key is shown this once: %s\n", account, key)
}
