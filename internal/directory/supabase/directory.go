package supabase

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

// openTimeout bounds how long a project that does not answer is waited for.
const openTimeout = 15 * time.Second

// Directory is a Supabase project as directory.
type Directory struct {
	// Fixed after construction.
	rest        *rest
	names       rows.Names
	pace        pace
	log         *slog.Logger
	life        context.Context
	stop        context.CancelFunc
	accountFeed *feed.Feed
	machineFeed *feed.Feed
	machines    *rows.Machines // nil: they are not installed
	complaint   *rows.Complaint
	twins       *rows.Twins

	work    sync.WaitGroup
	doubted chan struct{} // holds one token when a new proof is asked for
	most    atomic.Int64  // values of one question that the project's limit of rows allows
	sees    atomic.Bool   // the key has shown that it sees rows

	mu sync.Mutex
	// Guarded by mu.
	known   standing
	unnamed bool // a change that does not name its row has been logged
}

// Open examines the project before it returns, and refuses one that cannot be believed.
func Open(ctx context.Context, c Config) (*Directory, error) {
	d, r, err := newDirectory(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	if err := d.firstProof(ctx, c); err != nil {
		d.stop()
		d.rest.close()
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	d.bind(r.line)
	d.work.Go(func() { d.keepProving(d.life) }) // both end with life
	d.work.Go(func() { r.run(d.life) })
	return d, nil
}

func newDirectory(ctx context.Context, c Config) (*Directory, *realtime, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	counts, err := newCounters(c.Registerer)
	if err != nil {
		return nil, nil, err
	}
	root, _ := parseAddress(c.URL) // checked
	kind, _ := inspectKey(c.ServiceKey)
	d := &Directory{
		rest: newREST(c, root, kind, counts), names: c.Names, pace: c.pace, log: c.Logger,
		accountFeed: feed.New(errConnecting), machineFeed: feed.New(errConnecting), doubted: make(chan struct{}, 1),
		complaint: rows.NewComplaint(c.Logger, "the directory does not answer"),
		twins:     rows.NewTwins(c.Logger),
	}
	d.most.Store(math.MaxInt32)
	d.sees.Store(kind == legacyKey)
	d.life, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	return d, d.newRealtime(c), nil
}

func (d *Directory) newRealtime(c Config) *realtime {
	transport := newTransport(func(p *http.Protocols) { p.SetHTTP1(true) })
	return &realtime{
		line: &line{
			client: &http.Client{Transport: transport, CheckRedirect: stay},
			root:   d.rest.root, key: d.rest.key, kind: d.rest.kind, pace: d.pace, counts: d.rest.counts,
		},
		renew: c.Renew,
		live:  func() { d.pushBoth(directory.Event{Kind: directory.Live}) },
		lost:  func(why error) { d.pushBoth(directory.Event{Kind: directory.Lost, Err: why}) },
		changed: func(c change) {
			switch {
			case c.schema != d.names.Schema:
			case c.table == d.names.Accounts:
				d.accountChanged(c)
			case c.table == rows.Deletions:
				d.deletionChanged(c)
			}
		},
	}
}

// bind says which tables are watched. The table of machines is not: it changes with every machine
// that comes or goes, and past a limit Realtime drops changes, others' too.
func (d *Directory) bind(l *line) {
	l.bindings = []binding{{"*", d.names.Schema, d.names.Accounts}}
	if d.machines != nil {
		l.bindings = append(l.bindings, binding{"*", d.names.Schema, rows.Deletions})
	}
}

func (d *Directory) pushBoth(e directory.Event) {
	d.accountFeed.Push(e)
	d.machineFeed.Push(e)
}

// firstProof waits for a project that is away for the moment.
func (d *Directory) firstProof(ctx context.Context, c Config) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	wait := newBackoff(d.pace)
	for {
		err := d.prove(ctx)
		if err == nil {
			err = d.findMachines(ctx, c)
		}
		if _, refused := errors.AsType[*hinted](err); err == nil || refused {
			return err
		}
		if !sleepInside(ctx, wait.next(0, 0)) {
			return err
		}
	}
}

// findMachines finds whether the project keeps machines.
func (d *Directory) findMachines(ctx context.Context, c Config) error {
	m := rows.NewMachines(caller{d.rest}, c.Installation, c.Logger)
	err := m.Installed(ctx)
	if errors.Is(err, rows.ErrNotInstalled) {
		if !isMissingFunction(err) {
			c.Logger.Warn("the project's tables for machines are not used", "err", err)
		}
		return nil
	}
	if err == nil {
		d.machines = m
	}
	return err
}

// Accounts is the face that knows accounts.
func (d *Directory) Accounts() *Accounts { return &Accounts{d} }

// Machines is the face that keeps machines; nil if the project has no tables for them.
func (d *Directory) Machines() *Machines {
	if d.machines == nil {
		return nil
	}
	return &Machines{d.machines, d}
}

// Close ends every Watch and answers Unavailable from then on.
func (d *Directory) Close() {
	d.stop()
	d.work.Wait()
	d.setStanding(standing{})
	d.rest.close()
}

// accountChanged reports a change of the table of accounts. One that does not name its row is left
// to the sweep.
func (d *Directory) accountChanged(c change) {
	before, named := idIn(c.before, d.names.ID)
	after, renamed := idIn(c.after, d.names.ID)
	switch c.kind {
	case "DELETE":
		if named {
			d.accountFeed.Push(directory.Event{Kind: directory.Gone, ID: before})
		}
	case "UPDATE":
		if named && renamed && before != after {
			d.accountFeed.Push(directory.Event{Kind: directory.Gone, ID: before})
		}
		if renamed {
			d.accountFeed.Push(directory.Event{Kind: directory.Changed, ID: after})
		}
	default:
		return
	}
	if !named && (c.kind == "DELETE" || !renamed) {
		d.noteUnnamed(d.names.Accounts)
	}
}

func (d *Directory) noteUnnamed(table string) {
	d.mu.Lock()
	before := d.unnamed
	d.unnamed = true
	d.mu.Unlock()
	if !before {
		d.log.Warn("realtime reports a change but not of which row; changes like it are found by the sweep only",
			"table", table, "hint", "its id must be its primary key")
	}
}
