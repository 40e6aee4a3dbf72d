package standin

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

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
	rows, err := p.query(s.sql.String(), s.args...)
	return len(rows) > 0, errors.Join(err, p.exec("reset role"))
}
