package standin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// pgoutput is PostgreSQL's own format of logical decoding, version 1. Of each transaction come a Begin,
// the relations that were not described yet, the changes and a Commit. Truncate is left out, as
// Realtime leaves it out.

// relation is a table as it was when it changed.
type relation struct {
	oid          uint32
	schema, name string
	columns      []relationColumn
}

type relationColumn struct {
	name  string
	kind  uint32 // OID of the type
	isKey bool   // of the replica identity
}

// change is one row's.
type change struct {
	kind     string // INSERT, UPDATE or DELETE
	relation *relation
	at       time.Time // of the commit
	record   []value   // the new row
	// old is the old row as far as the replica identity keeps it.
	old []value
}

// value is a column's: its name and JSON. What is not known is left out.
type value struct {
	name string
	json json.RawMessage
}

var errShort = errors.New("a message of pgoutput ends early")

// decoder reads the messages of one poll.
type decoder struct {
	rest      []byte
	relations map[uint32]*relation
	at        time.Time
	changes   []change
}

// decode adds what one message says.
func (d *decoder) decode(message []byte) (err error) {
	defer func() {
		if p := recover(); p == errShort {
			err = errShort
		} else if p != nil {
			panic(p)
		}
	}()
	d.rest = message
	switch d.byte() {
	case 'B':
		d.take(8)
		d.at = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(d.uint64()) * time.Microsecond)
	case 'R':
		d.relation()
	case 'I':
		r := d.relations[d.uint32()]
		d.byte()
		d.add(change{kind: "INSERT", relation: r, record: d.row(r, nil)})
	case 'U':
		r := d.relations[d.uint32()]
		c := change{kind: "UPDATE", relation: r}
		if mark := d.byte(); mark != 'N' {
			c.old = d.identity(r, mark)
			d.byte()
		}
		c.record = d.row(r, c.old)
		if c.old == nil {
			c.old = keyOf(r, c.record)
		}
		d.add(c)
	case 'D':
		r := d.relations[d.uint32()]
		d.add(change{kind: "DELETE", relation: r, old: d.identity(r, d.byte())})
	}
	return nil
}

func (d *decoder) add(c change) {
	c.at = d.at
	d.changes = append(d.changes, c)
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		panic(errShort)
	}
	head := d.rest[:n]
	d.rest = d.rest[n:]
	return head
}

func (d *decoder) byte() byte     { return d.take(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }

func (d *decoder) text() string {
	head, _, found := strings.Cut(string(d.rest), "\x00")
	if !found {
		panic(errShort)
	}
	d.take(len(head) + 1)
	return head
}

func (d *decoder) relation() {
	r := &relation{oid: d.uint32(), schema: d.text(), name: d.text()}
	d.byte() // which replica identity
	for range d.uint16() {
		isKey := d.byte()&1 != 0
		r.columns = append(r.columns, relationColumn{isKey: isKey, name: d.text(), kind: d.uint32()})
		d.take(4)
	}
	d.relations[r.oid] = r
}

// row reads a row. A long value that did not change is not in it: it is taken from the old row if that
// has it.
func (d *decoder) row(r *relation, old []value) []value {
	var row []value
	for i := range d.uint16() {
		name, kind := r.columns[i].name, r.columns[i].kind
		switch d.byte() {
		case 'n':
			row = append(row, value{name, json.RawMessage("null")})
		case 't':
			row = append(row, value{name, toJSON(kind, string(d.take(int(d.uint32()))))})
		case 'u':
			for _, v := range old {
				if v.name == name {
					row = append(row, v)
				}
			}
		}
	}
	return row
}

// identity reads an old row: the whole of it, or of its columns those of the replica identity.
func (d *decoder) identity(r *relation, mark byte) []value {
	row := d.row(r, nil)
	if mark == 'O' {
		return row
	}
	return keyOf(r, row)
}

func keyOf(r *relation, row []value) []value {
	var key []value
	for _, v := range row {
		for _, c := range r.columns {
			if c.name == v.name && c.isKey {
				key = append(key, v)
			}
		}
	}
	return key
}

// toJSON is to_jsonb of a value for the types that have a form of their own in JSON; arrays stay text.
func toJSON(kind uint32, text string) json.RawMessage {
	const (
		boolean, timestamp, timestamptz = 16, 1114, 1184
		int8, int2, int4                = 20, 21, 23
		float4, float8, numeric         = 700, 701, 1700
		plainJSON, jsonb                = 114, 3802
	)
	switch kind {
	case boolean:
		return json.RawMessage(map[string]string{"t": "true", "f": "false"}[text])
	case int8, int2, int4, float4, float8, numeric, plainJSON, jsonb:
		if json.Valid([]byte(text)) { // NaN is not
			return json.RawMessage(text)
		}
	case timestamp:
		text = strings.Replace(text, " ", "T", 1)
	case timestamptz:
		text = strings.Replace(text, " ", "T", 1) + ":00" // the session is in UTC, which ends in +00
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string has a JSON form
	}
	return quoted
}
