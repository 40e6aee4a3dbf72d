package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/embedded"
	"github.com/fleetline/fleetline/internal/directory/postgres"
	"github.com/fleetline/fleetline/internal/directory/supabase"
)

// books are the faces of the directory, whoever keeps them.
type books struct {
	accounts     directory.Accounts
	accountAdmin directory.AccountAdmin
	machines     directory.Machines
	machineAdmin directory.MachineAdmin
	close        func()
}

// firstTry is how long the start waits for a directory elsewhere.
const firstTry = 3 * time.Second

// openDirectory opens the embedded directory and, where accounts are kept elsewhere, that one too. The
// embedded one then keeps the machines, unless there is a table for them beside the accounts.
func (s *Server) openDirectory(ctx context.Context) error {
	own, err := embedded.Open(ctx, embedded.Config{
		JetStream:    s.broker.JetStream(),
		Installation: s.broker.Installation(),
		BucketBytes:  s.broker.BucketBytes(),
		Sync:         s.broker.SyncBucket,
		KeysOf:       s.keysOf,
		Logger:       s.log,
	})
	if err != nil {
		return err
	}
	s.own = own
	s.books = books{
		accounts: own.Accounts(), accountAdmin: own.Accounts(),
		machines: own.Machines(), machineAdmin: own.Machines(),
		close: func() {},
	}
	open := s.elsewhere()
	if open == nil {
		return nil
	}
	first, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	b, err := open(first)
	if errors.Is(err, directory.ErrUnavailable) {
		s.log.Warn("the directory does not answer; until it does, machines are admitted by token alone", "err", err)
		late := newLate(context.WithoutCancel(ctx), open, s.log)
		b, err = late.books(), nil
	}
	if err == nil {
		s.books = b
	}
	return err
}

// keysOf asks whoever keeps the accounts.
func (s *Server) keysOf(ctx context.Context, account string) []directory.Digest {
	return s.books.accounts.Check(ctx, []string{account})[0].Account.Digests
}

// elsewhere opens the directory outside this process; nil if the settings name none.
func (s *Server) elsewhere() func(context.Context) (books, error) {
	switch {
	case s.config.SupabaseURL != "":
		return s.openSupabase
	case s.config.DatabaseURL != "":
		return s.openPostgres
	}
	return nil
}

func (s *Server) supabaseConfig() supabase.Config {
	return supabase.Config{
		URL: s.config.SupabaseURL, ServiceKey: directory.Key(s.config.SupabaseKey), Names: s.config.Names,
		Installation: s.broker.Installation(), Logger: s.log, Registerer: s.registry,
	}
}

func (s *Server) openSupabase(ctx context.Context) (books, error) {
	d, err := supabase.Open(ctx, s.supabaseConfig())
	if err != nil {
		return books{}, fmt.Errorf("opening the Supabase directory: %w", err)
	}
	b := books{
		accounts: d.Accounts(), accountAdmin: d.Accounts(),
		machines: s.own.Machines(), machineAdmin: s.own.Machines(), close: d.Close,
	}
	if m := d.Machines(); m != nil {
		b.machines, b.machineAdmin = m, m
		s.nobodyIsOnline(ctx, m)
	}
	return b, nil
}

func (s *Server) openPostgres(ctx context.Context) (books, error) {
	d, err := postgres.Open(ctx, postgres.Config{
		URL: postgres.URL(s.config.DatabaseURL), Names: s.config.Names,
		Installation: s.broker.Installation(), Logger: s.log,
	})
	if err != nil {
		return books{}, err
	}
	b := books{
		accounts: d.Accounts(), accountAdmin: d.Accounts(),
		machines: s.own.Machines(), machineAdmin: s.own.Machines(), close: d.Close,
	}
	if m := d.Machines(); m != nil {
		b.machines, b.machineAdmin = m, m
		s.nobodyIsOnline(ctx, m)
	}
	return b, nil
}

// nobodyIsOnline puts right what a gateway that was killed has left in the table for people to see.
func (s *Server) nobodyIsOnline(ctx context.Context, m interface{ ResetOnline(context.Context) error }) {
	if err := m.ResetOnline(ctx); err != nil {
		s.log.Warn("marking all machines as offline", "err", err)
	}
}
