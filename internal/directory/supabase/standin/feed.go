package standin

import (
	"context"
	"crypto/rand"
	randv2 "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// The cadence of the platform: after changes that went to somebody the slot is read again at once, and
// after changes that went to nobody, or none, later.
const (
	idlePause    = 500 * time.Millisecond
	foreignPause = 150 * time.Millisecond
	foreignMore  = 50 * time.Millisecond
	// reconnectPause comes before a new slot is made.
	reconnectPause = 200 * time.Millisecond
	// maxChanges is where a read ends, after the transaction it is in.
	maxChanges = 100

	publication = "supabase_realtime"
)

// feed reads the changes of published tables from a replication slot and gives them to the channels
// that are subscribed. The slot is temporary: each new one starts at now and replays nothing.
type feed struct {
	realtime *realtime
	running  sync.WaitGroup
	start    sync.Once

	mu     sync.Mutex
	ready  chan struct{}      // closed while there is a slot
	cancel context.CancelFunc // of the present slot
}

func newFeed(r *realtime) *feed { return &feed{realtime: r, ready: make(chan struct{})} }

func (f *feed) close() {
	f.start.Do(func() {}) // from now on it does not start
	f.running.Wait()      // it ends with the project
}

// await waits until there is a slot: the first who asks has it made.
func (f *feed) await(ctx context.Context) bool {
	f.start.Do(func() { f.running.Go(f.run) })
	f.mu.Lock()
	ready := f.ready
	f.mu.Unlock()
	select {
	case <-ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// run keeps a slot until the project ends. When one is lost, everybody subscribes anew.
func (f *feed) run() {
	for f.realtime.project.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(f.realtime.project.ctx)
		f.mu.Lock()
		f.cancel = cancel
		f.mu.Unlock()
		f.read(ctx)
		cancel()
		if f.lost() {
			f.realtime.resubscribe()
		}
		pause(f.realtime.project.ctx, reconnectPause)
	}
}

// lost notes that the slot is gone, and tells whether there was one.
func (f *feed) lost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.ready:
		f.ready = make(chan struct{})
		return true
	default:
		return false
	}
}

// restart loses the slot, and with it what is not read yet.
func (f *feed) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel != nil {
		f.cancel()
	}
}

// read makes a slot and polls it until it is lost or ctx ends.
func (f *feed) read(ctx context.Context) {
	config := f.realtime.database.Copy()
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["datestyle"] = "ISO"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		_ = conn.Close(closing)
		<-conn.PgConn().CleanupDone()
	}()
	p := &poll{session: session{ctx, conn.PgConn()}, feed: f, slot: "standin_" + strings.ToLower(rand.Text())}
	if _, err := p.query(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, p.slot); err != nil {
		return
	}
	f.mu.Lock()
	close(f.ready)
	f.mu.Unlock()
	p.run()
}

// poll is what a slot is read with.
type poll struct {
	session
	feed *feed
	slot string
}

// run reads the slot until something fails: whoever made it makes another. Now and then it looks
// whether other tables are published.
func (p *poll) run() {
	published, err := p.published()
	checked := time.Now()
	for err == nil {
		var wait time.Duration
		if wait, err = p.once(); err != nil || !pause(p.ctx, wait) {
			return
		}
		if time.Since(checked) < p.feed.realtime.project.config.PublicationCheck {
			continue
		}
		before := published
		published, err = p.published()
		checked = time.Now()
		if err == nil && !slices.Equal(published, before) {
			p.feed.realtime.resubscribe()
		}
	}
}

func (p *poll) published() ([]string, error) {
	rows, err := p.query(`select format('%I.%I', schemaname, tablename) from pg_publication_tables where pubname = $1 order by 1`, publication)
	tables := make([]string, len(rows))
	for i, row := range rows {
		tables[i] = string(row[0])
	}
	return tables, err
}

// once reads the slot, delivers, and says how long to wait before the next time.
func (p *poll) once() (time.Duration, error) {
	rows, err := p.queryAs(1, `
		select data from pg_logical_slot_get_binary_changes($1, null, $2, 'proto_version', '1', 'publication_names', $3)`,
		p.slot, strconv.Itoa(maxChanges), publication)
	if err != nil {
		return 0, err
	}
	d := decoder{relations: map[uint32]*relation{}}
	for _, row := range rows {
		if err := d.decode(row[0]); err != nil {
			return 0, err
		}
	}
	delivered, err := p.deliver(d.changes)
	switch {
	case delivered > 0:
		return 0, err
	case len(rows) > 0:
		return foreignPause + randv2.N(foreignMore), err
	}
	return idlePause, err
}
