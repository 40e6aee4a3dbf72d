package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/nats-io/nats.go/jetstream"
)

// Config is what a Directory is made of. JetStream, Installation and Logger are required.
type Config struct {
	JetStream jetstream.JetStream
	// Installation is named by every machine id made here: 8 characters of lower-case base32.
	Installation string
	// BucketBytes bounds each of the two buckets. The last tenth is kept for deletions. A bucket
	// that has been larger stays so. 0: 64 MiB.
	BucketBytes int64
	// Sync hands a bucket to the disk itself: changes that must outlive a power failure wait for it.
	// nil: they do not.
	Sync func(bucket string) error
	// KeysOf are the digests that open an account kept elsewhere now; none if that is not known. A
	// machine that is deleted stays so for them. nil: all accounts are kept here.
	KeysOf func(ctx context.Context, account string) []directory.Digest
	// Replicas is how many nodes of a cluster store each record. 0: 1.
	Replicas int
	Logger   *slog.Logger
}

const (
	accountsBucket = "fleetline_accounts"
	machinesBucket = "fleetline_machines"

	defaultBucketBytes = 64 << 20
	// callTimeout bounds every single call to JetStream.
	callTimeout = time.Second
	// openTimeout bounds the making of a bucket, which a cluster must agree on.
	openTimeout = 5 * time.Second
)

var errLoading = errors.New("the records have not been read yet")

func (c Config) check() error {
	var problems []error
	if c.JetStream == nil {
		problems = append(problems, errors.New("JetStream is missing"))
	}
	if c.Logger == nil {
		problems = append(problems, errors.New("the logger is missing"))
	}
	if !directory.IsInstallation(c.Installation) {
		problems = append(problems, fmt.Errorf("%q is no installation id", c.Installation))
	}
	if c.BucketBytes < 0 || c.Replicas < 0 {
		problems = append(problems, fmt.Errorf("no bucket has %d bytes and %d replicas", c.BucketBytes, c.Replicas))
	}
	return errors.Join(problems...)
}

// Directory is the embedded directory.
type Directory struct {
	// Fixed after construction.
	accounts *Accounts
	machines *Machines
	stop     context.CancelFunc

	work sync.WaitGroup
}

// Open makes the buckets if there are none, and reads them whole before it returns.
func Open(ctx context.Context, c Config) (*Directory, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	if c.BucketBytes == 0 {
		c.BucketBytes = defaultBucketBytes
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	d, err := open(ctx, life, c)
	if err != nil {
		stop()
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	d.stop = stop
	d.work.Go(d.accounts.bucket.run) // both end with life
	d.work.Go(d.machines.bucket.run)
	for _, b := range []*bucket{d.accounts.bucket, d.machines.bucket} {
		if err := b.waitLive(ctx); err != nil {
			d.Close()
			return nil, fmt.Errorf("opening the directory: reading bucket %s: %w", b.name, err)
		}
	}
	return d, nil
}

func open(ctx, life context.Context, c Config) (*Directory, error) {
	accounts := newAccountBook(c.Logger)
	machines := newMachineBook(c.Logger)
	a, err := openBucket(ctx, life, c, accountsBucket, accounts, accounts.feed)
	if err != nil {
		return nil, err
	}
	m, err := openBucket(ctx, life, c, machinesBucket, machines, machines.feed)
	if err != nil {
		return nil, err
	}
	d := &Directory{}
	d.machines = &Machines{bucket: m, book: machines, accounts: accounts, installation: c.Installation, elsewhere: c.KeysOf}
	d.accounts = &Accounts{bucket: a, book: accounts, machines: d.machines}
	return d, nil
}

// Accounts is the face that knows accounts.
func (d *Directory) Accounts() *Accounts { return d.accounts }

// Machines is the face that knows machines.
func (d *Directory) Machines() *Machines { return d.machines }

// Close ends every Watch and answers Unavailable from then on. JetStream is the caller's to close.
func (d *Directory) Close() {
	d.stop()
	d.work.Wait()
	d.accounts.book.close()
}

var (
	_ directory.Accounts     = (*Accounts)(nil)
	_ directory.AccountAdmin = (*Accounts)(nil)
	_ directory.Machines     = (*Machines)(nil)
	_ directory.MachineAdmin = (*Machines)(nil)
)
