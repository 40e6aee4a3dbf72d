package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// FrameError says what is wrong with a frame. It never carries a value from the frame: the value
// may be a key.
type FrameError struct{ Problem string }

func (e *FrameError) Error() string { return e.Problem }

func bad(format string, args ...any) error { return &FrameError{fmt.Sprintf(format, args...)} }

// object is one decoded JSON object. encoding/json alone is not enough here: it matches names
// without regard to case and lets the last of two equal names win, and a proxy or a log that reads
// the first would then see another key than the gateway does.
type object struct {
	fields []field
	// places finds fields by name where there are too many to look through.
	places map[string]int
}

// field is a part of the frame that it was read from, but for a name that was written with escapes.
type field struct{ name, value []byte }

// fewFields is how many an honest frame has at most, about.
const fewFields = 16

// shelf is room for the fields of most objects, on the stack of whoever reads one.
type shelf [fewFields / 2]field

// parseObject lets encoding/json judge the text first, so that finding the fields is only a matter of
// counting brackets.
func parseObject(frame []byte, room *shelf) (object, error) {
	if !json.Valid(frame) {
		return object{}, bad("the frame is not valid JSON")
	}
	return splitObject(frame, room)
}

// splitObject finds the fields of valid JSON.
func splitObject(valid []byte, room *shelf) (object, error) {
	t := skipSpace(valid)
	if t[0] != '{' {
		return object{}, bad("the frame is not a JSON object")
	}
	o := object{fields: room[:0]}
	for t = skipSpace(t[1:]); t[0] != '}'; {
		quoted, rest := cutValue(t)
		value, rest := cutValue(skipSpace(skipSpace(rest)[1:])) // behind the colon
		name, err := o.newName(quoted)
		if err != nil {
			return object{}, err
		}
		// Not in a method: what is written through a pointer does not stay on the stack.
		o.fields = append(o.fields, field{name, value})
		o.places = place(o.places, o.fields)
		if t = skipSpace(rest); t[0] == ',' {
			t = skipSpace(t[1:])
		}
	}
	return o, nil
}

// newName reads a name that is not in the object yet.
func (o *object) newName(quoted []byte) ([]byte, error) {
	name, ok := unquote(quoted)
	switch {
	case !ok:
		return nil, bad("the frame is not valid JSON")
	case o.find(string(name)) >= 0:
		return nil, bad("a field stands in the frame twice")
	}
	return name, nil
}

// place lets the last of many fields be found, and all of them when they become many.
func place(places map[string]int, fields []field) map[string]int {
	switch n := len(fields); {
	case n > fewFields+1:
		places[string(fields[n-1].name)] = n - 1
	case n == fewFields+1:
		places = make(map[string]int)
		for i, f := range fields {
			places[string(f.name)] = i
		}
	}
	return places
}

// find is the place of a field, or negative.
func (o *object) find(name string) int {
	if o.places != nil {
		if i, ok := o.places[name]; ok {
			return i
		}
		return -1
	}
	for i, f := range o.fields {
		if string(f.name) == name {
			return i
		}
	}
	return -1
}

func skipSpace(t []byte) []byte {
	for len(t) > 0 && (t[0] == ' ' || t[0] == '\t' || t[0] == '\n' || t[0] == '\r') {
		t = t[1:]
	}
	return t
}

// cutValue takes the value off the front of valid JSON.
func cutValue(t []byte) (value, rest []byte) {
	depth, inString := 0, false
	for i := 0; i < len(t); i++ {
		switch c := t[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
			if !inString && depth == 0 {
				return t[:i+1], t[i+1:]
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return t[:i], t[i:]
			}
			if depth--; depth == 0 {
				return t[:i+1], t[i+1:]
			}
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return t[:i], t[i:]
		}
	}
	return t, nil
}

// unquote reads a JSON string, which is a part of t where nothing is escaped; ok is false if t is none.
func unquote(t []byte) (text []byte, ok bool) {
	if len(t) < 2 || t[0] != '"' {
		return nil, false
	}
	if inner := t[1 : len(t)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, true
	}
	var s string
	err := json.Unmarshal(t, &s)
	return []byte(s), err == nil
}

// value is what was sent for a field, nil if nothing was; null counts as not sent.
func (o *object) value(name string) []byte {
	if i := o.find(name); i >= 0 && string(o.fields[i].value) != "null" {
		return o.fields[i].value
	}
	return nil
}

func (o *object) has(name string) bool { return o.value(name) != nil }

// reader collects the first problem, so that decoders read as a list of fields.
type reader struct {
	object
	// err lies elsewhere: what it holds is returned, and the shelf of an object whose reader holds it
	// would not stay on the stack.
	err *error
}

func (r *reader) text(name string, most int) string {
	v := r.value(name)
	if v == nil {
		return ""
	}
	s, ok := unquote(v)
	if !ok {
		r.fail(bad("%s must be a string", name))
		return ""
	}
	if len(s) > most {
		r.fail(bad("%s is longer than %d bytes", name, most))
		return ""
	}
	return string(s)
}

func (r *reader) integer(name string) uint64 {
	v := r.value(name)
	if v == nil {
		return 0
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	switch {
	case err != nil && isDigits(v), n > MaxSeq:
		r.fail(bad("%s is larger than 2^53-1", name))
	case err != nil:
		r.fail(bad("%s must be a whole number", name))
	}
	return n
}

func isDigits(t []byte) bool { return len(bytes.Trim(t, "0123456789")) == 0 }

// position is an integer that may be absent; absent and 0 are different things.
func (r *reader) position(name string) *uint64 {
	if !r.has(name) {
		return nil
	}
	n := r.integer(name)
	return &n
}

func (r *reader) flag(name string) bool {
	var b bool
	r.decode(name, &b, "true or false")
	return b
}

func (r *reader) decode(name string, into any, want string) bool {
	v := r.value(name)
	if v == nil {
		return false
	}
	if err := json.Unmarshal(v, into); err != nil {
		r.fail(bad("%s must be %s", name, want))
		return false
	}
	return true
}

func (r *reader) fail(err error) {
	if *r.err == nil {
		*r.err = err
	}
}
