package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Directory is a directory in PostgreSQL.
type Directory struct {
	// Fixed after construction.
	db       *database
	accounts *Accounts
	machines *Machines // nil: there is no table of them
	listener *listener
	stop     context.CancelFunc

	work sync.WaitGroup
}

// database is what all parts of a Directory share.
type database struct {
	// Fixed after construction.
	config Config
	names  rows.Names
	pool   *pgxpool.Pool

	// table is replaced when the listener connects, and when an answer says that it was altered.
	table atomic.Pointer[table]
}

// Machines is the face of a Directory that knows machines, for the gateway and for operators.
type Machines struct {
	*rows.Machines
	feed *feed.Feed
	life context.Context
}

// Watch reports machines that were deleted or readmitted until ctx ends. A watcher that is slower
// than the changes is told Lost, then Live.
func (m *Machines) Watch(ctx context.Context, report func(directory.Event)) error {
	return m.feed.Watch(ctx, m.life, report)
}

// Open connects, reads what the table of accounts is like, finds out whether there is one of machines,
// and begins to listen. It fails if the database does not answer, or not credibly.
func Open(ctx context.Context, c Config) (*Directory, error) {
	d, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the directory in PostgreSQL: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, c Config) (*Directory, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	config, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, describe(err)
	}
	db := &database{config: c, names: c.Names.WithDefaults(), pool: pool}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	d, err := assemble(ctx, life, db)
	if err != nil {
		stop()
		pool.Close()
		return nil, err
	}
	d.stop = stop
	d.work.Go(func() { d.listener.run(life) }) // ends with life
	d.listener.waitSettled(ctx)
	return d, nil
}

func assemble(ctx, life context.Context, db *database) (*Directory, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log := db.config.Logger
	if err := db.readTable(ctx, db.pool); err != nil {
		return nil, err
	}
	d := &Directory{db: db, listener: newListener(db)}
	d.accounts = &Accounts{
		db: db, feed: d.listener.accounts, life: life,
		twins:     rows.NewTwins(log),
		complaint: rows.NewComplaint(log, "the table of accounts does not answer"),
	}
	// Whether the table's answers can be believed shows with any.
	if _, err := d.accounts.query(ctx, db.table.Load().find(db.table.Load().id), []string{}); err != nil {
		return nil, err
	}
	machines := rows.NewMachines(db, db.config.Installation, log)
	switch err := machines.Installed(ctx); {
	case err == nil:
		d.machines = &Machines{Machines: machines, feed: d.listener.machines, life: life}
	case code(err) != noFunction:
		return nil, fmt.Errorf("looking for the table of machines: %w", err)
	}
	return d, nil
}

func (d *database) readTable(ctx context.Context, q querier) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t, err := readTable(ctx, q, d.names)
	if err != nil {
		return describe(err)
	}
	d.table.Store(t)
	return nil
}

// Accounts is the face that knows accounts.
func (d *Directory) Accounts() *Accounts { return d.accounts }

// HasMachines tells whether the owner has run the migration.
func (d *Directory) HasMachines() bool { return d.machines != nil }

// Machines is the face that knows machines; nil if the owner has not run the migration.
func (d *Directory) Machines() *Machines { return d.machines }

// FeedSQL is the script that installs the triggers, for an owner whose gateway may not.
func (d *Directory) FeedSQL() string { return d.db.names.Feed() }

// Migration is the script that installs the table of machines.
func (d *Directory) Migration() string { return d.db.names.Migration() }

// Health is nil while changes flow, and otherwise says why they do not.
func (d *Directory) Health() error { return d.listener.accounts.State().Err }

// Close ends every Watch and answers Unavailable from then on.
func (d *Directory) Close() {
	d.stop()
	d.work.Wait()
	d.db.pool.Close()
}

var (
	_ directory.Accounts     = (*Accounts)(nil)
	_ directory.AccountAdmin = (*Accounts)(nil)
	_ directory.Machines     = (*Machines)(nil)
	_ directory.MachineAdmin = (*Machines)(nil)
)
