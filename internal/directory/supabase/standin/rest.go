package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxBody is the longest body that is read.
const maxBody = 32 << 20

// answer is what a request comes to.
type answer struct {
	status int
	rows   int
	ranges string // Content-Range
	body   []byte // nil: none
}

// postgrest answers requests for tables and functions.
type postgrest struct {
	ctx    context.Context // ends with the project
	config Config
	pool   *pgxpool.Pool
	keys   *keyring
}

// serve answers one request.
func (p *postgrest) serve(w http.ResponseWriter, c call) {
	result, err := p.answer(c)
	if err != nil {
		writeError(w, err)
		return
	}
	if result.ranges != "" {
		w.Header().Set("Content-Range", result.ranges)
	}
	if result.body == nil {
		w.WriteHeader(result.status)
		return
	}
	kind := "application/json; charset=utf-8"
	if c.wantsObject() {
		kind = singular + "; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(result.body)))
	w.WriteHeader(result.status)
	if c.Method != http.MethodHead {
		_, _ = w.Write(result.body)
	}
}

func (p *postgrest) answer(c call) (result answer, err error) {
	if c.bearer != "" {
		if c.role, err = p.keys.claimedRole(c.bearer); err != nil {
			return result, badToken(err)
		}
	}
	schema, err := p.schemaOf(c)
	if err != nil {
		return result, err
	}
	body, err := io.ReadAll(io.LimitReader(c.Body, maxBody))
	if err != nil {
		return result, err
	}
	path := strings.TrimPrefix(c.URL.Path, "/rest/v1/")
	name, isFunction := strings.CutPrefix(path, "rpc/")
	if name == "" || strings.Contains(name, "/") {
		return result, pgrst(404, "PGRST125", "Invalid path specified in request URL", "")
	}
	work, mode := (*postgrest).read, "read only"
	switch {
	case isFunction && c.Method == http.MethodPost:
		work, mode = (*postgrest).call, "read write"
	case isFunction:
		return result, pgrst(405, "PGRST101", "Cannot use the "+c.Method+" method on RPC", "")
	case c.Method == http.MethodPost:
		work, mode = (*postgrest).insert, "read write"
	case c.Method == http.MethodPatch:
		work, mode = (*postgrest).update, "read write"
	case c.Method == http.MethodDelete:
		work, mode = (*postgrest).remove, "read write"
	case c.Method != http.MethodGet && c.Method != http.MethodHead:
		return result, pgrst(405, "PGRST117", "Unsupported HTTP method: "+c.Method, "")
	}
	err = p.within(c.role, mode, func(t session) error {
		result, err = work(p, t, target{c, schema, name, body})
		return err
	})
	return result, err
}

// target is a call with what it is about.
type target struct {
	call
	schema, name string
	body         []byte
}

func badToken(err error) error {
	if err == errExpired {
		return pgrst(401, "PGRST303", "JWT expired", "")
	}
	return pgrst(401, "PGRST301", "No suitable key or wrong key type", "None of the keys was able to decode the JWT")
}

func (p *postgrest) schemaOf(c call) (string, error) {
	header := "Content-Profile"
	if c.Method == http.MethodGet || c.Method == http.MethodHead {
		header = "Accept-Profile"
	}
	schema := c.Header.Get(header)
	if schema == "" {
		return p.config.Schemas[0], nil
	}
	if !slices.Contains(p.config.Schemas, schema) {
		e := pgrst(406, "PGRST106", "Invalid schema: "+schema, "")
		e.Hint = orNull("Only the following schemas are exposed: " + strings.Join(p.config.Schemas, ", "))
		return "", e
	}
	return schema, nil
}

// read answers GET and HEAD of a table.
func (p *postgrest) read(t session, r target) (answer, error) {
	result, err := p.selected(t, r, source{relation: table{schema: r.schema, name: r.name}.relation()})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P01" {
		return answer{}, noTable(r.schema, r.name)
	}
	return result, err
}

// source is what rows are selected from: a relation, after a with clause if there is one.
type source struct {
	with, relation string
	args           []string
}

// selected answers with the rows of a source that the query asks for.
func (p *postgrest) selected(t session, r target, from source) (answer, error) {
	win, err := windowOf(r.call, p.config.MaxRows)
	if err != nil {
		return answer{}, err
	}
	s := statement{args: from.args}
	s.add("with ")
	if from.with != "" {
		s.add(from.with, ", ")
	}
	counting := "-1"
	if r.prefers("count") != "" {
		s.add("pgrst_count as (select from ", from.relation)
		if err := s.where(r.call, from.relation); err != nil {
			return answer{}, err
		}
		s.add("), ")
		counting = "(select count(*) from pgrst_count)"
	}
	s.add("pgrst_rows as (select ")
	if err := s.columns(r.call, from.relation); err != nil {
		return answer{}, err
	}
	s.add(" from ", from.relation)
	if err := s.where(r.call, from.relation); err != nil {
		return answer{}, err
	}
	if err := s.order(r.call, from.relation); err != nil {
		return answer{}, err
	}
	s.add(win.sql(), ") select count(*), coalesce(json_agg(r), '[]'), ", counting, " from pgrst_rows r")
	n, body, total, err := t.counted(&s)
	if err != nil {
		return answer{}, err
	}
	if total >= 0 && win.offset > total {
		return answer{}, pgrst(416, "PGRST103", "Requested range not satisfiable",
			fmt.Sprintf("An offset of %d was requested, but there are only %d rows.", win.offset, total))
	}
	result := answer{status: win.status(n, total), rows: n, ranges: contentRange(win.offset, n, total), body: body}
	return result.asWanted(r.call)
}

// counted runs a statement that returns a number of rows, their JSON, and another number.
func (t session) counted(s *statement) (n int, body []byte, other int, err error) {
	rows, err := t.query(s.sql.String(), s.args...)
	if err != nil {
		return 0, nil, 0, err
	}
	n, err = strconv.Atoi(string(rows[0][0]))
	if err == nil {
		other, err = strconv.Atoi(string(rows[0][2]))
	}
	return n, rows[0][1], other, err
}

// asWanted turns an array of one into the object that was asked for.
func (a answer) asWanted(c call) (answer, error) {
	if !c.wantsObject() || a.body == nil {
		return a, nil
	}
	if a.rows != 1 {
		return answer{}, pgrst(406, "PGRST116", "Cannot coerce the result to a single JSON object",
			fmt.Sprintf("The result contains %d rows", a.rows))
	}
	var one []json.RawMessage
	if err := json.Unmarshal(a.body, &one); err != nil {
		return answer{}, err
	}
	a.body = one[0]
	return a, nil
}

// call answers POST of a function with named arguments.
func (p *postgrest) call(t session, r target) (answer, error) {
	arguments := map[string]json.RawMessage{}
	if len(r.body) > 0 && json.Unmarshal(r.body, &arguments) != nil {
		return answer{}, pgrst(400, "PGRST102", "Empty or invalid json", "")
	}
	f, err := t.function(r.schema, r.name, slices.Sorted(maps.Keys(arguments)))
	if err != nil {
		return answer{}, err
	}
	with := f.sql(slices.Sorted(maps.Keys(arguments)))
	if f.isVoid {
		_, err := t.query("with "+with+" select from pgrst_call", string(r.body))
		return answer{status: http.StatusNoContent}, err
	}
	from := source{with: with, relation: "pgrst_call", args: []string{string(r.body)}}
	if f.isRecord {
		result, err := p.selected(t, r, from)
		if err == nil && !f.isSet && !r.wantsObject() {
			result.body = result.body[1 : len(result.body)-1]
		}
		return result, err
	}
	s := statement{args: from.args}
	s.add("with ", with, ", pgrst_rows as (select pgrst_value from pgrst_call limit ", strconv.Itoa(p.config.MaxRows),
		") select count(*), coalesce(json_agg(pgrst_value), '[]'), 0 from pgrst_rows")
	n, body, _, err := t.counted(&s)
	if err == nil && !f.isSet {
		body = body[1 : len(body)-1]
	}
	return answer{status: 200, rows: n, ranges: contentRange(0, n, -1), body: body}, err
}

// sql calls the function with the arguments in the JSON object $1.
func (f function) sql(arguments []string) string {
	var typed, named []string
	for _, name := range arguments {
		typed = append(typed, quote(name)+" "+f.types[name])
		named = append(named, quote(name)+" := a."+quote(name))
	}
	columns := "f.*"
	if !f.isRecord {
		columns = "f.pgrst_value"
	}
	call := quote(f.schema) + "." + quote(f.name) + "(" + strings.Join(named, ", ") + ") f"
	if !f.isRecord {
		call += "(pgrst_value)"
	}
	if len(arguments) == 0 {
		return "pgrst_call as (select " + columns + " from " + call + " where $1::text is not null)"
	}
	return "pgrst_call as (select " + columns + " from json_to_record($1) a(" + strings.Join(typed, ", ") + "), lateral " + call + ")"
}
