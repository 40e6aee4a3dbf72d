package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxSkew is how far the server's clock may be from ours: tokens and records of deletion are compared.
const maxSkew = 5 * time.Second

// Diagnose looks at everything a directory needs of the database, one after the other, and changes
// nothing in it. It works where Open fails, too: that is what it is for.
func Diagnose(ctx context.Context, c Config) []directory.Finding {
	d := &doctor{config: c, names: c.Names.WithDefaults()}
	if err := c.Names.Check(); err != nil {
		return append(d.findings, directory.Finding{Topic: "settings", Level: directory.Fail, Text: err.Error()})
	}
	config, err := c.pool()
	if err != nil {
		return append(d.findings, directory.Finding{Topic: "settings", Level: directory.Fail, Text: err.Error()})
	}
	config.ConnConfig.ValidateConnect = nil // a replica is a finding
	if d.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return append(d.findings, directory.Finding{Topic: "settings", Level: directory.Fail, Text: describe(err).Error()})
	}
	defer d.pool.Close()
	for _, look := range []func(context.Context) bool{d.server, d.clock, d.columns, d.access, d.keys, d.triggers, d.path, d.machines} {
		if !look(ctx) {
			break
		}
	}
	return d.findings
}

// doctor gathers findings. Each look tells whether the next can be taken.
type doctor struct {
	config   Config
	names    rows.Names
	pool     *pgxpool.Pool
	table    *table
	findings []directory.Finding
}

func (d *doctor) find(topic string, level directory.Level, text, hint, sql string) {
	d.findings = append(d.findings, directory.Finding{Topic: topic, Level: level, Text: text, Hint: hint, SQL: sql})
}

func (d *doctor) fail(topic string, err error, hint string) bool {
	d.find(topic, directory.Fail, describe(err).Error(), hint, "")
	return false
}

func (d *doctor) ok(topic, text string) bool {
	d.find(topic, directory.OK, text, "", "")
	return true
}

// get runs a query for one row.
func (d *doctor) get(ctx context.Context, sql string, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+callTimeout)
	defer cancel()
	return d.pool.QueryRow(ctx, sql).Scan(into...)
}

func (d *doctor) server(ctx context.Context) bool {
	var version, role string
	var isReplica, isReadOnly bool
	err := d.get(ctx, `select current_setting('server_version'), current_user::text, pg_is_in_recovery(), current_setting('transaction_read_only')::bool`,
		&version, &role, &isReplica, &isReadOnly)
	switch {
	case err != nil:
		return d.fail("database", err, "Check DATABASE_URL: host, port, user, password, database. A paused Supabase project answers nobody.")
	case isReplica:
		d.find("database", directory.Fail, errReplica.Error(), "Give the address of the primary: a replica lags, and what it misses is no proof of a deletion.", "")
		return false
	case isReadOnly:
		d.find("database", directory.Fail, "transactions are read only for role "+role, "Use the primary's address and a role that may write.",
			"alter role "+rows.Quote(role)+" set default_transaction_read_only = off;")
		return false
	}
	return d.ok("database", "PostgreSQL "+version+" answers as a primary, to role "+role)
}

func (d *doctor) clock(ctx context.Context) bool {
	var theirs time.Time
	before := time.Now()
	if err := d.get(ctx, `select clock_timestamp()`, &theirs); err != nil {
		return d.fail("clock", err, "")
	}
	after := time.Now()
	if theirs.Before(before.Add(-maxSkew)) || theirs.After(after.Add(maxSkew)) {
		d.find("clock", directory.Warn, fmt.Sprintf("the server's clock differs from ours by %s", theirs.Sub(after).Round(time.Second)), "Have both kept by NTP.", "")
		return true
	}
	return d.ok("clock", "the server's clock agrees with ours")
}

func (d *doctor) columns(ctx context.Context) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t, err := readTable(ctx, d.pool, d.names)
	if err != nil {
		sql := "create table " + d.names.Table(d.names.Accounts) + " (" + rows.Quote(d.names.ID) + " uuid primary key default gen_random_uuid(), " +
			rows.Quote(d.names.Key) + " text not null unique);"
		d.find("accounts", directory.Fail, plainText(err), "Name your table and its columns in the settings, or make the table.", sql)
		return false
	}
	d.table = t
	for _, c := range []column{t.id, t.key} {
		if c.kind == other {
			d.find("accounts", directory.Warn, fmt.Sprintf("column %s is of type %s, which no index is used for", c.name, c.typ), "Use text, uuid or bigint.", "")
		}
	}
	return d.ok("accounts", fmt.Sprintf("%s has %s of type %s and %s of type %s", d.names.Table(d.names.Accounts), t.id.name, t.id.typ, t.key.name, t.key.typ))
}

// plainText is for errors of readTable, some of which are its own.
func plainText(err error) string {
	if code(err) == "" && !errors.Is(err, context.DeadlineExceeded) {
		return err.Error()
	}
	return describe(err).Error()
}

func (d *doctor) access(ctx context.Context) bool {
	name := rows.Literal(d.names.Table(d.names.Accounts))
	var mayRead, isHidden bool
	var role string
	if err := d.get(ctx, `select has_table_privilege(`+name+`, 'select'), row_security_active(`+name+`), current_user::text`, &mayRead, &isHidden, &role); err != nil {
		return d.fail("permissions", err, "")
	}
	switch {
	case !mayRead:
		d.find("permissions", directory.Fail, "role "+role+" may not read the accounts", "Run the statement as the table's owner.",
			"grant select on "+d.names.Table(d.names.Accounts)+" to "+rows.Quote(role)+";")
		return false
	case isHidden:
		d.find("permissions", directory.Fail, "row-level security may hide accounts from role "+role, "Run the statement as a superuser, or connect as the table's owner.",
			"alter role "+rows.Quote(role)+" bypassrls;")
		return false
	}
	return d.ok("permissions", "role "+role+" reads all accounts")
}

const uniqueKey = `select exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
  where i.indrelid = %s::regclass and a.attname = %s and i.indisunique and i.indisvalid and i.indnkeyatts = 1 and i.indpred is null)`

func (d *doctor) keys(ctx context.Context) bool {
	accounts := d.names.Table(d.names.Accounts)
	var isUnique bool
	if err := d.get(ctx, fmt.Sprintf(uniqueKey, rows.Literal(accounts), rows.Literal(d.names.Key)), &isUnique); err != nil {
		return d.fail("keys", err, "")
	}
	if isUnique {
		return d.ok("keys", "a key can be of one account only")
	}
	var shared int
	key := d.table.key.name
	if err := d.get(ctx, `select count(*) from (select from `+accounts+` where `+key+` is not null group by `+key+`::text having count(*) > 1) x`, &shared); err != nil {
		return d.fail("keys", err, "")
	}
	sql := "create unique index concurrently on " + accounts + " (" + key + ");"
	if shared > 0 {
		d.find("keys", directory.Fail, fmt.Sprintf("%d keys are of more than one account: they open none", shared), "Give each account a key of its own, then make that a rule.", sql)
		return true
	}
	d.find("keys", directory.Warn, "nothing keeps two accounts from having one key, and no index finds a key", "Make it a rule.", sql)
	return true
}

func (d *doctor) triggers(ctx context.Context) bool {
	var channel string
	var isReady, mayInstall bool
	if err := d.get(ctx, d.names.FeedState(), &channel, &isReady); err != nil {
		return d.fail("triggers", err, "")
	}
	if isReady {
		return d.ok("triggers", "every change is told at once")
	}
	err := d.get(ctx, `select pg_has_role(relowner, 'usage') and has_schema_privilege(relnamespace, 'create') and relkind in ('r', 'p')
		from pg_class where oid = `+rows.Literal(d.names.Table(d.names.Accounts))+`::regclass`, &mayInstall)
	switch {
	case err != nil:
		return d.fail("triggers", err, "")
	case mayInstall:
		return d.ok("triggers", "they are not there yet, and are installed at the start")
	}
	d.find("triggers", directory.Warn, "they are missing and this role may not install them: changes are found by comparing, seconds later", "Run this as the table's owner.", d.names.Feed())
	return true
}

// path sees whether what is notified arrives.
func (d *doctor) path(ctx context.Context) bool {
	err := d.listen(ctx)
	switch {
	case err == nil:
		return d.ok("LISTEN", "what is notified arrives")
	case errors.Is(err, context.DeadlineExceeded):
		d.find("LISTEN", directory.Warn, "nothing that is notified arrives: the connection goes through a transaction pooler",
			"Use the direct address or the session pooler (port 5432), not the transaction pooler (port 6543). Until then changes are found by comparing, seconds later.", "")
		return true
	}
	return d.fail("LISTEN", err, "")
}

func (d *doctor) listen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, echo)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen fleetline_doctor"); err != nil {
		return err
	}
	if _, err := d.pool.Exec(ctx, "notify fleetline_doctor"); err != nil {
		return err
	}
	_, err = conn.WaitForNotification(ctx)
	return err
}

func (d *doctor) machines(ctx context.Context) bool {
	db := &database{config: d.config, names: d.names, pool: d.pool}
	err := rows.NewMachines(db, d.config.Installation, d.config.Logger).Installed(ctx)
	switch {
	case err == nil:
		return d.ok("machines", d.names.Table(d.names.Machines)+" keeps them as rows")
	case code(err) == noFunction:
		d.find("machines", directory.OK, "there is no table of them: they are kept by the gateway itself", "To list and delete machines as rows, run this once.", d.names.Migration())
		return true
	case errors.Is(err, rows.ErrNotInstalled):
		d.find("machines", directory.Fail, err.Error(), "Run the migration again.", d.names.Migration())
		return false
	}
	return d.fail("machines", err, "Let this role call the functions named fleetline_* and bypass row-level security, or connect as their owner.")
}
