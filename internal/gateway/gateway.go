package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/prometheus/client_golang/prometheus"
)

// Log is what the gateway needs of the log beside reading it. A *broker.Broker is one.
type Log interface {
	Epoch() string
	Last() uint64
	// Resolve turns a machine's position into one to start from; recovered is false if history
	// between the two is gone.
	Resolve(epoch string, seq uint64) (after uint64, recovered bool)
	// Tail calls f for every entry, in order, from one goroutine, until ctx ends.
	Tail(ctx context.Context, f func(*broker.Entry)) error
	// Heard is when the tail last heard this node's own lease.
	Heard() time.Time
}

// Revocations keeps revocations and tells every node of them. A *broker.Broker does.
type Revocations interface {
	Revoke(ctx context.Context, r broker.Revocation) error
	// Revocations are those in force.
	Revocations(ctx context.Context) ([]broker.Revocation, error)
}

// Config is what a Gateway is made of. All is required but where a zero value is described.
type Config struct {
	Log         Log
	Revocations Revocations
	// Reader reads what sessions have missed; ReadFrom makes one of a broker.
	Reader   session.Log
	Accounts directory.Accounts
	Machines directory.Machines
	Tokens   *token.Signer
	// NewEngine makes the engine that holds the connections.
	NewEngine func(socket.Handler) (socket.Engine, error)
	Logger    *slog.Logger
	// Heartbeat is the time between two pings. 0: 30 s.
	Heartbeat time.Duration
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Origins are the browser origins that may connect; empty: those of the request's own host, and
	// whoever sends no Origin.
	Origins []string
	// Registerer takes the gateway's metrics. nil: none.
	Registerer prometheus.Registerer
	// Tell hears what happens to machines, from many goroutines; it must not block. nil: nobody.
	Tell func(api.Event)
}

// Gateway is the machines' door.
type Gateway struct {
	// Fixed after construction.
	log     *slog.Logger
	journal Log
	view    *view
	tokens  *token.Signer
	engine  socket.Engine
	hub     *session.Hub
	door    doorRules
	limits  limits
	conns   *connTable
	judge   *judge
	refused *refusedSet
	held    *heldSet
	prover  *prover
	revoker *revoker
	seen    *seenBook
	clones  *cloneBook
	metrics *metrics
	tell    func(api.Event)

	progress  progress
	draining  atomic.Bool
	closeOnce sync.Once
	work      sync.WaitGroup
}

// Limits of a machine's sessions, all over which come back later.
const (
	sessionsPerMachine = 8
	// sessionsPerDefault bounds the default machine, which a fleet of old clients shares.
	sessionsPerDefault = 1000
)

// New makes a gateway. It serves nobody before Run.
func New(c Config) (*Gateway, error) {
	if c.Log == nil || c.Revocations == nil || c.Reader == nil || c.Accounts == nil || c.Machines == nil ||
		c.Tokens == nil || c.NewEngine == nil || c.Logger == nil {
		return nil, errors.New("making the gateway: a required part is missing")
	}
	g := &Gateway{
		log:     c.Logger,
		journal: c.Log,
		view:    newView(c.Accounts, c.Machines),
		tokens:  c.Tokens,
		door:    doorRules{trusted: c.TrustedProxies, origins: c.Origins},
		limits:  newLimits(),
		conns:   newConnTable(),
		refused: newRefusedSet(),
		held:    newHeldSet(),
		seen:    newSeenBook(),
		metrics: newMetrics(),
		tell:    c.Tell,
	}
	if g.tell == nil {
		g.tell = func(api.Event) {}
	}
	g.judge = newJudge(&g.conns.silent)
	g.prover = newProver(g)
	g.revoker = newRevoker(c.Revocations, c.Machines.DeleteAll, c.Tokens.Life(), c.Logger)
	var err error
	if g.engine, err = c.NewEngine(g); err != nil {
		return nil, fmt.Errorf("making the gateway: %w", err)
	}
	g.hub, err = session.New(session.Config{
		Engine:     g.engine,
		Log:        c.Reader,
		Heartbeat:  c.Heartbeat,
		Refresh:    g.refreshToken,
		Registerer: c.Registerer,
	}, c.Log.Last())
	if err == nil {
		g.clones = newCloneBook(g.hub.Heartbeat())
		err = g.metrics.register(c.Registerer, g)
	}
	if err != nil {
		g.engine.Close()
		return nil, fmt.Errorf("making the gateway: %w", err)
	}
	return g, nil
}

// Hub is the sessions on this node.
func (g *Gateway) Hub() *session.Hub { return g.hub }

// Run reads what has been revoked, then serves until ctx ends, and ends every connection before it
// returns. Drain comes first where machines should be told.
func (g *Gateway) Run(ctx context.Context, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := g.loadRevocations(ctx); err != nil {
		return err
	}
	failed := make(chan error, 3)
	loop := func(f func(context.Context) error) {
		g.work.Go(func() { // ends with ctx
			if err := f(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
		})
	}
	loop(g.tail)
	loop(g.watchAccounts)
	loop(g.watchMachines)
	g.work.Go(func() {
		g.judge.run(ctx, func(batch []*applicant) { g.judgeBatch(ctx, batch) })
	})
	g.work.Go(func() { g.prover.run(ctx) })
	g.work.Go(func() { g.revoker.run(ctx) })
	g.work.Go(func() { g.keepTime(ctx) })
	g.work.Go(func() { g.sweepAlways(ctx) })
	err := g.awaitLog(ctx, failed)
	if err == nil && ctx.Err() == nil {
		ready()
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	stop()
	g.Close()
	g.work.Wait()
	g.seen.flush(context.Background(), g)
	return err
}

// awaitLog returns when the node has heard its own lease: from then on what is in the log is known
// here. A long log on a busy disk takes its time, and ending the process would not make it shorter.
func (g *Gateway) awaitLog(ctx context.Context, failed <-chan error) error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	impatient := time.NewTicker(leaseGone)
	defer impatient.Stop()
	for g.isDeaf(leaseLost) {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-impatient.C:
			g.log.Warn("the log is not heard yet; no machine is admitted before it is")
		case <-poll.C:
		}
	}
	return nil
}

// Close ends every connection and the hub's work. Run does so by itself; calling it again is
// nothing.
func (g *Gateway) Close() {
	g.closeOnce.Do(func() {
		g.engine.Close()
		g.hub.Close()
	})
}

// Times by which the gateway judges whether its own log can be trusted.
const (
	// leaseLost is how long the node's own lease may be unheard before it admits nobody by token.
	leaseLost = 3 * time.Second
	// leaseGone is when it sends its sessions elsewhere.
	leaseGone = 10 * time.Second
)

// NotReady tells why no machine should be sent here; empty means ready.
func (g *Gateway) NotReady() []string {
	var reasons []string
	if g.draining.Load() {
		reasons = append(reasons, "the gateway is draining")
	}
	if g.isDeaf(leaseLost) {
		reasons = append(reasons, "the node does not hear its own lease through the log")
	}
	if n := g.revoker.pending(); n > 0 {
		reasons = append(reasons, fmt.Sprintf("%d revocations are in force here but not yet stored", n))
	}
	return reasons
}

func (g *Gateway) isDeaf(d time.Duration) bool { return time.Since(g.journal.Heard()) > d }

// keepTime ends connections that do not authenticate, and sends sessions elsewhere when the log has
// been unheard for too long.
func (g *Gateway) keepTime(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var flushed time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			g.endLate(now)
			if g.isDeaf(leaseGone) && !g.progress.isBusy(now) {
				g.sendElsewhere()
			}
			if now.Sub(flushed) >= seenEvery {
				flushed = now
				g.seen.flush(ctx, g)
				g.tellClones(now)
				g.refused.forget(now)
				g.held.forget(now)
			}
		}
	}
}
