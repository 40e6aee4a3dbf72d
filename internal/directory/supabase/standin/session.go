package standin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// session is a connection to the database for one piece of work, such as a request's transaction.
type session struct {
	ctx  context.Context // of the work
	conn *pgconn.PgConn
}

// within runs a request's work in a transaction of its own and commits it if that returns nil. It
// does not end with the request: PostgREST finishes what it began.
func (p *postgrest) within(role, mode string, work func(session) error) error {
	wait, cancel := context.WithTimeout(p.ctx, poolWait)
	defer cancel()
	pooled, err := p.pool.Acquire(wait)
	if err != nil {
		if errors.Is(wait.Err(), context.DeadlineExceeded) {
			return pgrst(504, "PGRST003", "Timed out acquiring connection from connection pool.", "")
		}
		return pgrst(503, "PGRST000", "Database connection error. Retrying the connection.", "")
	}
	defer pooled.Release()
	t := session{p.ctx, pooled.Conn().PgConn()}
	begin := fmt.Sprintf(`begin %s; set local role %s; set local statement_timeout = %d; set local search_path = public`,
		mode, quote(role), p.config.StatementTimeout.Milliseconds())
	err = t.exec(begin)
	if err == nil {
		err = work(t)
	}
	if err != nil {
		_ = t.exec("rollback") // a connection that cannot is not used again
		return fromPostgres(err, role)
	}
	return fromPostgres(t.exec("commit"), role)
}

// exec runs statements that have no parameters and no rows.
func (t session) exec(sql string) error {
	_, err := t.conn.Exec(t.ctx, sql).ReadAll()
	return err
}

// query returns the rows as text; nil is null.
func (t session) query(sql string, args ...string) ([][][]byte, error) {
	return t.queryAs(0, sql, args...)
}

// queryAs returns the rows as text (0) or binary (1).
func (t session) queryAs(format int16, sql string, args ...string) ([][][]byte, error) {
	values := make([][]byte, len(args))
	for i, arg := range args {
		values[i] = []byte(arg)
	}
	result := t.conn.ExecParams(t.ctx, sql, values, nil, nil, []int16{format}).Read()
	return result.Rows, result.Err
}

// table is what PostgREST's schema cache knows of a table or view.
type table struct {
	schema, name string
	columns      []string
	key          []string // columns of the primary key
}

// relation is the table's name in SQL.
func (t table) relation() string { return quote(t.schema) + "." + quote(t.name) }

// table looks a table up anew each time: what was just created is there at once, unlike on the
// platform.
func (t session) table(schema, name string) (table, error) {
	rows, err := t.query(`
		select a.attname, coalesce(a.attnum = any(i.indkey), false)
		from pg_attribute a
		join pg_class c on c.oid = a.attrelid
		join pg_namespace n on n.oid = c.relnamespace
		left join pg_index i on i.indrelid = c.oid and i.indisprimary
		where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
			and a.attnum > 0 and not a.attisdropped
		order by a.attnum`, schema, name)
	if err != nil {
		return table{}, err
	}
	if len(rows) == 0 {
		return table{}, noTable(schema, name)
	}
	found := table{schema: schema, name: name}
	for _, row := range rows {
		found.columns = append(found.columns, string(row[0]))
		if string(row[1]) == "t" {
			found.key = append(found.key, string(row[0]))
		}
	}
	return found, nil
}

func noTable(schema, name string) error {
	return pgrst(404, "PGRST205", fmt.Sprintf("Could not find the table '%s.%s' in the schema cache", schema, name), "")
}

// function is what the schema cache knows of a function.
type function struct {
	schema, name string
	types        map[string]string // of the arguments by name
	// isSet returns rows, isRecord rows of columns, isVoid nothing.
	isSet, isRecord, isVoid bool
}

// function finds the function that takes the named arguments: all of them are its, and it has
// defaults for the rest.
func (t session) function(schema, name string, arguments []string) (function, error) {
	rows, err := t.query(`
		select p.proretset, r.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false), r.typname = 'void',
			coalesce((select string_agg(a.name || ' ' || format_type(a.type, null), E'\n' order by a.at)
				from unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) with ordinality a(name, type, at)), '')
		from pg_proc p
		join pg_type r on r.oid = p.prorettype
		where p.pronamespace = to_regnamespace(quote_ident($1)) and p.proname = $2 and p.prokind = 'f'
			and p.pronargs - p.pronargdefaults <= cardinality($3::text[])
			and $3::text[] <@ coalesce(p.proargnames[:p.pronargs], '{}')`,
		schema, name, array(arguments))
	if err != nil {
		return function{}, err
	}
	if len(rows) != 1 {
		return function{}, noFunction(schema, name, arguments)
	}
	is := func(i int) bool { return string(rows[0][i]) == "t" }
	f := function{schema: schema, name: name, types: map[string]string{}, isSet: is(0), isRecord: is(1), isVoid: is(2)}
	for line := range strings.SplitSeq(string(rows[0][3]), "\n") {
		name, kind, _ := strings.Cut(line, " ")
		f.types[name] = kind
	}
	return f, nil
}

func noFunction(schema, name string, arguments []string) error {
	full := schema + "." + name
	shown, searched := " without parameters", " without parameters"
	if len(arguments) > 0 {
		shown = "(" + strings.Join(arguments, ", ") + ")"
		searched = " with parameter" + map[bool]string{true: "s"}[len(arguments) > 1] + " " + strings.Join(arguments, ", ")
	}
	return pgrst(404, "PGRST202", "Could not find the function "+full+shown+" in the schema cache",
		"Searched for the function "+full+searched+" or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.")
}

// array is a PostgreSQL array of texts.
func array(values []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = `"` + escape.Replace(value) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
