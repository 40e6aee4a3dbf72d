package standin

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	randv2 "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	p := &poll{feed: f, ctx: ctx, conn: conn.PgConn(), slot: "standin_" + strings.ToLower(rand.Text())}
	if _, err := p.query(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, p.slot); err != nil {
		return
	}
	published, err := p.published()
	if err != nil {
		return
	}
	f.mu.Lock()
	close(f.ready)
	f.mu.Unlock()
	checked := time.Now()
	for {
		next, err := p.once()
		if err != nil || !pause(ctx, next) {
			return
		}
		if time.Since(checked) < f.realtime.project.config.PublicationCheck {
			continue
		}
		checked = time.Now()
		now, err := p.published()
		if err != nil {
			return
		}
		if !slices.Equal(now, published) {
			published = now
			f.realtime.resubscribe()
		}
	}
}

// poll is what a slot is read with.
type poll struct {
	feed *feed
	ctx  context.Context
	conn *pgconn.PgConn
	slot string
}

func (p *poll) query(sql string, args ...string) ([][][]byte, error) {
	values := make([][]byte, len(args))
	for i, arg := range args {
		values[i] = []byte(arg)
	}
	result := p.conn.ExecParams(p.ctx, sql, values, nil, nil, nil).Read()
	return result.Rows, result.Err
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
	result := p.conn.ExecParams(p.ctx, `
		select data from pg_logical_slot_get_binary_changes($1, null, $2, 'proto_version', '1', 'publication_names', $3)`,
		[][]byte{[]byte(p.slot), []byte(strconv.Itoa(maxChanges)), []byte(publication)}, nil, nil, []int16{1}).Read()
	if result.Err != nil {
		return 0, result.Err
	}
	d := decoder{relations: map[uint32]*relation{}}
	for _, row := range result.Rows {
		if err := d.decode(row[0]); err != nil {
			return 0, err
		}
	}
	delivered, err := p.deliver(d.changes)
	switch {
	case delivered > 0:
		return 0, err
	case len(result.Rows) > 0:
		return foreignPause + randv2.N(foreignMore), err
	}
	return idlePause, err
}

// deliver sends each change to the channels that want it and may see it, and counts those changes that
// went to somebody.
func (p *poll) deliver(changes []change) (delivered int, err error) {
	known := map[string]catalog{} // by role and table
	for _, c := range changes {
		if strings.Contains(c.relation.name, " ") {
			continue // list_changes leaves such tables out
		}
		wanted := false
		for role, channels := range p.feed.realtime.interested(c) {
			key := role + " " + strconv.FormatUint(uint64(c.relation.oid), 10)
			if _, ok := known[key]; !ok {
				if known[key], err = p.catalog(c.relation, role); err != nil {
					return delivered, err
				}
			}
			data, ok, err := p.event(c, known[key], role)
			if err != nil {
				return delivered, err
			}
			if ok {
				wanted = true
				p.feed.realtime.publish(c, data, channels)
			}
		}
		if wanted {
			delivered++
		}
	}
	return delivered, nil
}

// catalog is what a role may see of a table.
type catalog struct {
	columns []object
	visible map[string]bool
	key     []string
	hasRLS  bool
}

func (p *poll) catalog(r *relation, role string) (catalog, error) {
	rows, err := p.query(`
		select a.attname, t.typname, coalesce(a.attnum = any(i.indkey), false),
			has_column_privilege($2, c.oid, a.attnum, 'select'), c.relrowsecurity
		from pg_class c
		join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		join pg_type t on t.oid = a.atttypid
		left join pg_index i on i.indrelid = c.oid and i.indisprimary
		where c.oid = $1::oid
		order by a.attnum`, strconv.FormatUint(uint64(r.oid), 10), role)
	found := catalog{visible: map[string]bool{}}
	for _, row := range rows {
		is := func(i int) bool { return string(row[i]) == "t" }
		name := string(row[0])
		if is(2) {
			found.key = append(found.key, name)
		}
		if is(3) {
			found.visible[name] = true
			found.columns = append(found.columns, object{"name": name, "type": string(row[1])})
		}
		found.hasRLS = is(4)
	}
	return found, err
}

// event is a change as a role sees it, if it does. Row level security is asked at this moment, so a
// row that is gone by now is not seen; of deletions everybody sees the key.
func (p *poll) event(c change, known catalog, role string) (object, bool, error) {
	data := object{"schema": c.relation.schema, "table": c.relation.name, "type": c.kind, "errors": nil}
	isDelete := c.kind == "DELETE"
	seesKey := !slices.ContainsFunc(known.key, func(name string) bool { return !known.visible[name] })
	if !isDelete && (len(known.key) == 0 || !seesKey) {
		data["errors"] = []string{map[bool]string{true: "Error 400: Bad Request, no primary key", false: "Error 401: Unauthorized"}[len(known.key) == 0]}
		return data, true, nil
	}
	if known.hasRLS && !isDelete {
		if seen, err := p.sees(c, known, role); err != nil || !seen {
			return nil, false, err
		}
	}
	data["commit_timestamp"] = c.at.Format("2006-01-02T15:04:05.000Z")
	data["columns"] = known.columns
	longest := math.MaxInt
	if size(c.record)+size(c.old) > maxRecord {
		data["errors"], longest = []string{"Error 413: Payload Too Large"}, 64
	}
	fields := func(row []value, isHidden bool) object {
		shown := object{}
		for _, v := range row {
			if known.visible[v.name] && len(v.json) <= longest && (!isHidden || slices.Contains(known.key, v.name)) {
				shown[v.name] = v.json
			}
		}
		return shown
	}
	if !isDelete {
		data["record"] = fields(c.record, false)
	}
	if c.kind != "INSERT" {
		data["old_record"] = fields(c.old, isDelete && known.hasRLS)
	}
	return data, true, nil
}

// maxRecord is the longest change that is sent whole.
const maxRecord = 1 << 20

func size(row []value) (n int) {
	for _, v := range row {
		n += len(v.name) + len(v.json)
	}
	return n
}

// sees asks as a role whether a row is there.
func (p *poll) sees(c change, known catalog, role string) (bool, error) {
	_, err := p.query("select set_config('role', $1, false)", role)
	if err != nil {
		return false, err
	}
	s := statement{}
	s.add("select from ", quote(c.relation.schema), ".", quote(c.relation.name), " where true")
	for _, v := range c.record {
		if slices.Contains(known.key, v.name) {
			s.add(" and to_jsonb(", quote(v.name), ") = ", s.arg(string(v.json)), "::jsonb")
		}
	}
	result := p.conn.ExecParams(p.ctx, s.sql.String(), s.args, nil, nil, nil).Read()
	_, err = p.query("reset role")
	return len(result.Rows) > 0, errors.Join(result.Err, err)
}
