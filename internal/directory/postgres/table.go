package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/jackc/pgx/v5"
)

// table is the table of accounts as the database describes it.
type table struct {
	names   rows.Names
	id, key column
}

type column struct {
	name     string // quoted
	declared uint32 // the type's number
	typ      string // its name or, of a domain, that of the type below
	kind     kind
	// cast is how a text becomes a value that an index on the column is good for.
	cast       string
	hasDefault bool
}

type kind uint8

const (
	other kind = iota // compared as text
	textual
	uuid
	integer
)

const describeColumns = `
with recursive col as (
  select a.attname, a.atttypid as declared, a.atttypid as typ, a.atthasdef or a.attidentity <> '' as has_default
    from pg_attribute a where a.attrelid = to_regclass($1) and a.attname in ($2, $3) and a.attnum > 0 and not a.attisdropped
  union all
  select c.attname, c.declared, t.typbasetype, c.has_default from col c join pg_type t on t.oid = c.typ where t.typtype = 'd'
)
select c.attname, c.declared, t.typname, format_type(t.oid, -1), c.has_default from col c join pg_type t on t.oid = c.typ where t.typtype <> 'd'`

// readTable describes the table of accounts, or says what is missing.
func readTable(ctx context.Context, db querier, names rows.Names) (*table, error) {
	names = names.WithDefaults()
	found, err := db.Query(ctx, describeColumns, names.Table(names.Accounts), names.ID, names.Key)
	if err != nil {
		return nil, err
	}
	t := &table{names: names}
	var name, typ, cast string
	var declared uint32
	var hasDefault bool
	_, err = pgx.ForEachRow(found, []any{&name, &declared, &typ, &cast, &hasDefault}, func() error {
		c := column{name: rows.Quote(name), declared: declared, typ: typ, kind: kindOf(typ), cast: cast, hasDefault: hasDefault}
		if c.kind == integer {
			c.cast = "int8"
		}
		if name == names.ID {
			t.id = c
		} else {
			t.key = c
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, c := range []struct {
		have column
		want string
	}{{t.id, names.ID}, {t.key, names.Key}} {
		if c.have.name == "" {
			missing = append(missing, "no column "+rows.Quote(c.want))
		}
	}
	if len(missing) > 0 {
		return t, fmt.Errorf("%w: there is %s in a table %s", errNoColumn, strings.Join(missing, " and "), names.Table(names.Accounts))
	}
	return t, nil
}

func kindOf(typ string) kind {
	switch typ {
	case "text", "varchar", "bpchar", "citext":
		return textual
	case "uuid":
		return uuid
	case "int2", "int4", "int8":
		return integer // an index on either is good for int8
	}
	return other
}

// possible leaves those texts that a value of the column can have, each once. No other is found.
func (c column) possible(texts []string) []string {
	var list []string
	for _, t := range texts {
		if rows.Storable(t) && c.canBe(t) {
			list = append(list, t)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (c column) canBe(text string) bool {
	switch c.kind {
	case uuid:
		return isUUID(text)
	case integer:
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == text
	}
	return true
}

// isUUID accepts the one form in which PostgreSQL writes a UUID.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range []byte(text) {
		isDash := i == 8 || i == 13 || i == 18 || i == 23
		isHex := '0' <= r && r <= '9' || 'a' <= r && r <= 'f'
		if isDash && r != '-' || !isDash && !isHex {
			return false
		}
	}
	return true
}

// is compares the column of u with the texts of $1.
func (c column) is() string {
	if c.kind == other {
		return "u." + c.name + "::text = any ($1::text[])"
	}
	return "u." + c.name + " = any ($1::text[]::" + c.cast + "[])"
}

// find is a query for accounts by the texts of $1.
func (t *table) find(by column) string {
	return t.credibly(`select u.` + t.id.name + `::text as id, sha256(convert_to(u.` + t.key.name + `::text, 'UTF8')) as digest
  from ` + t.quoted() + ` u where ` + by.is())
}

// page is a query for ids in order: those after $1, or from the first.
func (t *table) page(isFirst bool) string {
	id, after := "u."+t.id.name, "$1::text::"+t.id.cast
	if t.id.kind == other {
		id, after = id+`::text collate "C"`, "$1::text"
	}
	where := "$1::text is null"
	if !isFirst {
		where = id + " > " + after
	}
	return t.credibly(`select ` + id + `::text as id, null::bytea as digest from ` + t.quoted() + ` u
  where ` + where + ` order by ` + id + ` limit ` + strconv.Itoa(pageSize))
}

// credibly makes each row of a query for accounts say first whether the answer is one: from the
// primary, with no row hidden, and with columns of the types that the question was made for. There is
// at least one row.
func (t *table) credibly(query string) string {
	return `select pg_is_in_recovery(), row_security_active(` + rows.Literal(t.quoted()) + `),
  (select count(*) from pg_attribute where attrelid = ` + rows.Literal(t.quoted()) + `::regclass
    and (attname, atttypid) in ((` + rows.Literal(t.names.ID) + `, ` + strconv.Itoa(int(t.id.declared)) + `), (` +
		rows.Literal(t.names.Key) + `, ` + strconv.Itoa(int(t.key.declared)) + `))) < 2,
  a.id, a.digest from (select) one left join (` + query + `) a on true`
}

func (t *table) quoted() string { return t.names.Table(t.names.Accounts) }
