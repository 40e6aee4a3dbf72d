package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/wire"
)

// Config says how to open the log.
type Config struct {
	// Dir is the data folder. It is made if it is missing and locked while the broker is open.
	Dir string
	// URL of a NATS cluster to use instead of the embedded server. Not built yet.
	URL string
	// Node is this node's name in its lease; empty: a random one.
	Node string
	// MaxBytes bounds the whole store: the log, its past lives and every bucket. 0: half of the free
	// disk, counting what the store holds already as free.
	MaxBytes int64
	// MaxAge is how long messages are kept; 0: 24 hours.
	MaxAge time.Duration
	// WindowBytes bounds the recent past held in memory; 0: 64 MiB.
	WindowBytes int
	// SyncAlways syncs every publish to the disk before it is acknowledged: a power failure then
	// loses nothing, at about 3,000 publishes a second. Otherwise the disk is synced every ten
	// seconds: a killed process still loses nothing, but a power failure may, and begins a new life
	// of the log.
	SyncAlways bool
	// MaxData is the most bytes of data in a message; 0: what fits the default limit of frames.
	MaxData int
	// Sessions is asked for the number of sessions that the lease tells other nodes; nil: 0.
	Sessions func() int
	// Logger; nil: none.
	Logger *slog.Logger
	// Registerer for metrics; nil: none registered.
	Registerer prometheus.Registerer

	// Bent by tests alone.
	bootID    string        // empty: the system's
	floor     int64         // the least MaxBytes; 0: worked out from MaxAge
	leaseGap  time.Duration // between two leases; 0: a second
	sweepMost int           // entries that one sweep reads; 0: sweepEntries
}

const (
	defaultMaxAge = 24 * time.Hour
	defaultWindow = 64 << 20
	// FrameRoom is what a data frame holds beside the data: its names, a position and an id of which
	// every byte is escaped.
	FrameRoom = 2 << 10
	// defaultMaxData fits the frames that gateways send by default.
	defaultMaxData = wire.MaxDown - FrameRoom
	// dedupeWindow is how long a publisher's id is remembered.
	dedupeWindow = 10 * time.Minute
	syncInterval = 10 * time.Second
)

// withDefaults fills in what is zero and reports every problem at once.
func (c Config) withDefaults() (Config, error) {
	var problems []error
	if c.URL != "" {
		problems = append(problems, errors.New("a NATS cluster by URL is not built yet: leave NATS_URL unset to use the embedded log"))
	}
	if c.Dir == "" {
		problems = append(problems, errors.New("the data folder is not named"))
	}
	if c.MaxBytes < 0 || c.MaxAge < 0 || c.WindowBytes < 0 || c.MaxData < 0 {
		problems = append(problems, errors.New("a size or an age of the log is negative"))
	}
	c.MaxAge = defaultTo(c.MaxAge, defaultMaxAge)
	c.WindowBytes = defaultTo(c.WindowBytes, defaultWindow)
	c.MaxData = defaultTo(c.MaxData, defaultMaxData)
	c.leaseGap = defaultTo(c.leaseGap, time.Second)
	c.sweepMost = defaultTo(c.sweepMost, sweepEntries)
	c.bootID = defaultTo(c.bootID, bootID())
	c.Node = defaultTo(c.Node, "node-"+randomName())
	if c.MaxAge < time.Minute {
		problems = append(problems, errors.New("the log's age is under a minute"))
	}
	if len(c.Node) > maxID {
		problems = append(problems, fmt.Errorf("the node's name is longer than %d bytes", maxID))
	}
	if c.Sessions == nil {
		c.Sessions = func() int { return 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(problems...)
}

func defaultTo[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// budget shares the store out, in bytes. The shares add up to the bound, so none can take another's
// room.
type budget struct {
	total     int64
	bucket    int64 // each of the directory's buckets
	tombstone int64
	own       int64 // the bucket that names the lives
	log       int64 // all lives of the log together
	reserve   int64 // the part of log that is kept for leases and revocations
}

const (
	mib = 1 << 20
	// directoryBuckets is how many buckets of bucket bytes have room.
	directoryBuckets = 4
	// leaseBytes is about what a lease takes in the log.
	leaseBytes = 160
	// revocationRoom is room in the log for about a hundred thousand revocations.
	revocationRoom = 16 * mib
	// leastMessages is the room for messages below which a store makes no sense.
	leastMessages = 16 * mib
)

func newBudget(total int64, c Config) (budget, error) {
	b := budget{
		total:     total,
		bucket:    min(max(total/32, 4*mib), 1<<30),
		tombstone: min(max(total/64, 8*mib), 256*mib),
		own:       mib,
	}
	leases := leaseBytes * int64(c.MaxAge/c.leaseGap)
	b.reserve = leases + max(revocationRoom, min(total/64, 256*mib))
	b.log = total - directoryBuckets*b.bucket - b.tombstone - b.own
	if c.floor > 0 {
		return b.shrunk(c.floor)
	}
	if least := b.least(); total < least {
		return b, fmt.Errorf("the store's bound of %d MiB is below the minimum of %d MiB for messages kept %s",
			total/mib, (least+mib-1)/mib, c.MaxAge)
	}
	return b, nil
}

func (b budget) least() int64 {
	return directoryBuckets*4*mib + 8*mib + mib + b.reserve + leastMessages
}

// LeastBytes is the least that MaxBytes may be if everything else has its default.
func LeastBytes() int64 {
	c, _ := Config{}.withDefaults() // a folder is missing, which takes no room
	b, _ := newBudget(0, c)         // it is below, of course
	return (b.least() + mib - 1) / mib * mib
}

// shrunk is a budget for tests that fill a store in a moment.
func (b budget) shrunk(floor int64) (budget, error) {
	if b.total < floor {
		return b, fmt.Errorf("the store's bound is below %d bytes", floor)
	}
	b.bucket, b.tombstone, b.own, b.reserve = b.total/16, b.total/16, b.total/16, b.total/8
	b.log = b.total - directoryBuckets*b.bucket - b.tombstone - b.own
	return b, nil
}
