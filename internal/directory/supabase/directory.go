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
)

// openTimeout bounds how long a project that does not answer is waited for.
const openTimeout = 15 * time.Second

// Directory is a Supabase project as directory.
type Directory struct {
	// Fixed after construction.
	rest     *rest
	names    Names
	pace     pace
	log      *slog.Logger
	life     context.Context
	stop     context.CancelFunc
	accounts *feed.Feed

	work    sync.WaitGroup
	doubted chan struct{} // holds one token when a new proof is asked for
	most    atomic.Int64  // values of one question that the project's limit of rows allows
	sees    atomic.Bool   // the key has shown that it sees rows

	mu sync.Mutex
	// Guarded by mu.
	known   standing
	trouble string // why there was no answer the last time; "": there was
	unnamed bool   // a change that does not name its row has been logged
}

// Open examines the project before it returns, and refuses one that cannot be believed.
func Open(ctx context.Context, c Config) (*Directory, error) {
	d, r, err := newDirectory(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	if err := d.firstProof(ctx); err != nil {
		d.stop()
		d.rest.close()
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
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
		accounts: feed.New(errConnecting), doubted: make(chan struct{}, 1),
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
			bindings: []binding{{"*", d.names.Schema, d.names.Accounts}},
		},
		renew: c.Renew,
		live:  func() { d.accounts.Push(directory.Event{Kind: directory.Live}) },
		lost:  func(why error) { d.accounts.Push(directory.Event{Kind: directory.Lost, Err: why}) },
		changed: func(c change) {
			if c.schema == d.names.Schema && c.table == d.names.Accounts {
				d.accountChanged(c)
			}
		},
	}
}

// firstProof waits for a project that is away for the moment.
func (d *Directory) firstProof(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	wait := newBackoff(d.pace)
	for {
		err := d.prove(ctx)
		if _, refused := errors.AsType[*hinted](err); err == nil || refused {
			return err
		}
		if !sleepInside(ctx, wait.next(0, 0)) {
			return err
		}
	}
}

// Accounts is the face that knows accounts.
func (d *Directory) Accounts() *Accounts { return &Accounts{d} }

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
			d.accounts.Push(directory.Event{Kind: directory.Gone, ID: before})
		}
	case "UPDATE":
		if named && renamed && before != after {
			d.accounts.Push(directory.Event{Kind: directory.Gone, ID: before})
		}
		if renamed {
			d.accounts.Push(directory.Event{Kind: directory.Changed, ID: after})
		}
	default:
		return
	}
	if !named && (c.kind == "DELETE" || !renamed) {
		d.noteUnnamed()
	}
}

func (d *Directory) noteUnnamed() {
	d.mu.Lock()
	before := d.unnamed
	d.unnamed = true
	d.mu.Unlock()
	if !before {
		d.log.Warn("realtime reports a change but not of which row; changes like it are found by the sweep only",
			"hint", "make "+d.names.ID+" the primary key of "+d.names.table())
	}
}

// table is the table of accounts, quoted.
func (n Names) table() string { return quoteName(n.Schema) + "." + quoteName(n.Accounts) }
