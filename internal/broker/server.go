package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// engine is the embedded nats-server and the connections to it. Publishing, the tail and reads each
// have their own, so that a long answer on one does not hold up another.
type engine struct {
	srv     *server.Server
	dir     string
	publish *nats.Conn
	tail    *nats.Conn
	read    *nats.Conn
	js      jetstream.JetStream // over publish
}

const (
	// apiTimeout bounds every question to JetStream: a tail must not be blind for longer.
	apiTimeout = time.Second
	// consumerMemory bounds what the server keeps in memory for consumers.
	consumerMemory = 256 * mib
	// unbounded is the server's own bound: it must not be smaller than what the streams of an earlier
	// run may hold. bound sets the one that counts, when the streams have theirs.
	unbounded = 1 << 60
)

func startEngine(c Config) (*engine, error) {
	e := &engine{dir: filepath.Join(c.Dir, "log")}
	opts := &server.Options{
		ServerName:         "fleetline",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           e.dir,
		JetStreamMaxMemory: consumerMemory,
		JetStreamMaxStore:  unbounded,
		MaxPayload:         int32(max(c.MaxData+64<<10, 1<<20)),
		SyncInterval:       syncInterval,
		SyncAlways:         c.SyncAlways,
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("making the embedded log: %w", err)
	}
	e.srv = srv
	fatal := new(atomic.Pointer[string])
	e.srv.SetLoggerV2(serverLog{c.Logger, fatal}, false, false, false)
	e.srv.Start()
	if said := fatal.Load(); said != nil {
		err = fmt.Errorf("starting the embedded log: %s", *said)
	} else {
		err = e.connect(c.Logger)
	}
	if err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

func (e *engine) connect(log *slog.Logger) (err error) {
	if !e.srv.ReadyForConnections(10 * time.Second) {
		return errors.New("starting the embedded log: not ready in 10 s")
	}
	for _, c := range []**nats.Conn{&e.publish, &e.tail, &e.read} {
		if *c, err = e.dial(log); err != nil {
			return fmt.Errorf("connecting to the embedded log: %w", err)
		}
	}
	e.js, err = jetstream.New(e.publish, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return fmt.Errorf("connecting to the embedded log: %w", err)
	}
	return nil
}

// bound limits all streams and buckets together, and refuses one without a bound of its own. A store
// that was allowed more in an earlier run keeps that: its bound must not stop leases and deletions.
func (e *engine) bound(ctx context.Context, total int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	var allowed int64
	streams := e.js.ListStreams(ctx)
	for s := range streams.Info() {
		allowed += max(0, s.Config.MaxBytes)
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("listing streams: %w", err)
	}
	err := e.srv.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": {
		MaxMemory: -1, MaxStore: max(total, allowed), MaxStreams: -1, MaxConsumers: -1,
		MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1, MaxBytesRequired: true,
	}})
	if err != nil {
		return fmt.Errorf("bounding the store: %w", err)
	}
	return nil
}

func (e *engine) dial(log *slog.Logger) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(e.srv),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("the log's connection reports a problem", "error", err)
		}))
}

// stop ends the connections, then the server, and waits for it. What was acknowledged is with the
// operating system by then.
func (e *engine) stop() {
	for _, c := range []*nats.Conn{e.publish, e.tail, e.read} {
		if c != nil {
			c.Close()
		}
	}
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

// sync hands every file of the store to the disk. The server may be running: what it removes in
// the meantime needs no sync.
func (e *engine) sync() error {
	err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir():
			err = syncDir(path)
		case d.Type().IsRegular():
			err = syncFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("syncing the store: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// treeSize is the bytes in a folder; one that is missing holds none.
func treeSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("measuring the store: %w", err)
	}
	return sum, nil
}

// apiContext bounds one question to JetStream.
func apiContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, apiTimeout)
}

// serverLog takes the server's own log. Its notices are details to us.
type serverLog struct {
	log *slog.Logger
	// fatal keeps why the server could not start.
	fatal *atomic.Pointer[string]
}

func (l serverLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.line(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.line(slog.LevelWarn, format, v) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}

func (l serverLog) Fatalf(format string, v ...any) {
	said := fmt.Sprintf(format, v...)
	l.fatal.Store(&said)
}

func (l serverLog) line(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats-server", "says", fmt.Sprintf(format, v...))
	}
}
