package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// insert answers POST of a table: an insert, or with a resolution and a conflict an upsert.
func (p *postgrest) insert(t session, r target) (answer, error) {
	found, err := t.table(r.schema, r.name)
	if err != nil {
		return answer{}, err
	}
	columns, err := payloadColumns(r, found)
	if err != nil {
		return answer{}, err
	}
	body := bytes.TrimSpace(r.body)
	if bytes.HasPrefix(body, []byte("{")) {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	s := &statement{}
	values := " (" + list(columns, "") + ") select " + list(columns, "") + " from "
	if len(columns) == 0 {
		values = " select from " // every column has its default
	}
	s.add("insert into ", found.relation(), values, "json_populate_recordset(null::", found.relation(), ", ", s.arg(string(body)), ")")
	s.add(conflict(r, found, columns))
	created, err := t.written(r, found, s, "case when xmax = 0 then 1 else 0 end")
	created.status = http.StatusCreated
	if created.inserted == 0 && r.prefers("resolution") == "merge-duplicates" {
		created.status = http.StatusOK
	}
	return created.answer, err
}

// conflict is what an upsert does with rows that are there.
func conflict(r target, found table, columns []string) string {
	on := found.key
	if named := r.query.Get("on_conflict"); named != "" {
		on = strings.Split(named, ",")
	}
	resolution := r.prefers("resolution")
	if resolution == "" || len(on) == 0 {
		return ""
	}
	sql := " on conflict (" + list(on, "") + ") do "
	if resolution == "ignore-duplicates" || len(columns) == 0 {
		return sql + "nothing"
	}
	var set []string
	for _, column := range columns {
		set = append(set, quote(column)+" = excluded."+quote(column))
	}
	return sql + "update set " + strings.Join(set, ", ")
}

// update answers PATCH of a table.
func (p *postgrest) update(t session, r target) (answer, error) {
	found, err := t.table(r.schema, r.name)
	if err != nil {
		return answer{}, err
	}
	columns, err := payloadColumns(r, found)
	if err != nil {
		return answer{}, err
	}
	s := &statement{}
	var set []string
	for _, column := range columns {
		set = append(set, quote(column)+" = pgrst_body."+quote(column))
	}
	if len(set) == 0 {
		return answer{}, pgrst(400, "PGRST102", "the stand-in does not update nothing", "")
	}
	s.add("update ", found.relation(), " set ", strings.Join(set, ", "))
	s.add(" from (select * from json_populate_record(null::", found.relation(), ", ", s.arg(string(r.body)), ")) pgrst_body")
	if err := s.where(r.call, found.relation()); err != nil {
		return answer{}, err
	}
	changed, err := t.written(r, found, s, "0")
	return changed.answer, err
}

// remove answers DELETE of a table; without a filter, of all its rows.
func (p *postgrest) remove(t session, r target) (answer, error) {
	found, err := t.table(r.schema, r.name)
	if err != nil {
		return answer{}, err
	}
	s := &statement{}
	s.add("delete from ", found.relation())
	if err := s.where(r.call, found.relation()); err != nil {
		return answer{}, err
	}
	removed, err := t.written(r, found, s, "0")
	removed.ranges = "*/*"
	return removed.answer, err
}

// written is the answer to a change, and how many of its rows are new.
type written struct {
	answer
	inserted int
}

// written runs a change and answers with its rows if they are asked for, else with nothing.
func (t session) written(r target, found table, change *statement, inserted string) (written, error) {
	s := statement{args: change.args}
	s.add("with pgrst_source as (", change.sql.String(), " returning ", inserted, " as pgrst_inserted")
	shows := r.prefers("return") == "representation"
	if !shows {
		s.add(") select count(*), '', coalesce(sum(pgrst_inserted), 0) from pgrst_source")
	} else {
		// The rows go by the table's name, so that errors call it so.
		s.add(", ", list(found.columns, found.relation()+"."), "), ", quote(found.name), " as (select ",
			list(found.columns, ""), " from pgrst_source), pgrst_rows as (select ")
		if err := s.columns(r.call, quote(found.name)); err != nil {
			return written{}, err
		}
		s.add(" from ", quote(found.name), ") select count(*), coalesce((select json_agg(r) from pgrst_rows r), '[]'),",
			" coalesce(sum(pgrst_inserted), 0) from pgrst_source")
	}
	n, body, fresh, err := t.counted(&s)
	if err != nil {
		return written{}, err
	}
	result := answer{status: http.StatusNoContent, rows: n, ranges: contentRange(0, n, -1)}
	if shows {
		result.status, result.body = http.StatusOK, body
	}
	result, err = result.asWanted(r.call)
	return written{result, fresh}, err
}

// payloadColumns are the columns that a payload sets: those of its first object, which all others must
// have too, unless the query names them.
func payloadColumns(r target, found table) ([]string, error) {
	var columns []string
	if named := r.query.Get("columns"); named != "" {
		for name := range strings.SplitSeq(named, ",") {
			columns = append(columns, unquote(name))
		}
	} else {
		var err error
		if columns, err = commonKeys(r.body); err != nil {
			return nil, err
		}
	}
	for _, column := range columns {
		if !slices.Contains(found.columns, column) {
			return nil, pgrst(400, "PGRST204", fmt.Sprintf("Could not find the '%s' column of '%s' in the schema cache", column, found.name), "")
		}
	}
	return columns, nil
}

func commonKeys(body []byte) ([]string, error) {
	var objects []map[string]json.RawMessage
	if json.Unmarshal(body, &objects) != nil {
		objects = make([]map[string]json.RawMessage, 1)
		if json.Unmarshal(body, &objects[0]) != nil {
			return nil, pgrst(400, "PGRST102", "Empty or invalid json", "")
		}
	}
	if len(objects) == 0 {
		return nil, nil
	}
	keys := slices.Sorted(maps.Keys(objects[0]))
	for _, object := range objects[1:] {
		if !slices.Equal(slices.Sorted(maps.Keys(object)), keys) {
			return nil, pgrst(400, "PGRST102", "All object keys must match", "")
		}
	}
	return keys, nil
}

// list is a list of names in SQL, each behind the prefix.
func list(names []string, prefix string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = prefix + quote(strings.TrimSpace(name))
	}
	return strings.Join(quoted, ", ")
}
