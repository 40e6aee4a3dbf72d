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
type object map[string]json.RawMessage

// parseObject lets encoding/json judge the text first, so that finding the fields is only a matter of
// counting brackets.
func parseObject(frame []byte) (object, error) {
	if !json.Valid(frame) {
		return nil, bad("the frame is not valid JSON")
	}
	t := skipSpace(frame)
	if t[0] != '{' {
		return nil, bad("the frame is not a JSON object")
	}
	o := make(object, 8)
	for t = skipSpace(t[1:]); t[0] != '}'; {
		name, rest := cutValue(t)
		value, rest := cutValue(skipSpace(skipSpace(rest)[1:])) // behind the colon
		if err := o.put(name, value); err != nil {
			return nil, err
		}
		if t = skipSpace(rest); t[0] == ',' {
			t = skipSpace(t[1:])
		}
	}
	return o, nil
}

func (o object) put(quoted, value []byte) error {
	name, ok := unquote(quoted)
	if !ok {
		return bad("the frame is not valid JSON")
	}
	if _, twice := o[name]; twice {
		return bad("a field stands in the frame twice")
	}
	o[name] = value
	return nil
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

// unquote reads a JSON string; ok is false if t is none.
func unquote(t []byte) (text string, ok bool) {
	if len(t) < 2 || t[0] != '"' {
		return "", false
	}
	if inner := t[1 : len(t)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	err := json.Unmarshal(t, &text)
	return text, err == nil
}

// has tells whether a field was sent; null counts as not sent.
func (o object) has(name string) bool {
	v, ok := o[name]
	return ok && string(v) != "null"
}

// reader collects the first problem, so that decoders read as a list of fields.
type reader struct {
	object
	err error
}

func (r *reader) text(name string, most int) string {
	if !r.has(name) {
		return ""
	}
	s, ok := unquote(r.object[name])
	if !ok {
		r.fail(bad("%s must be a string", name))
		return ""
	}
	if len(s) > most {
		r.fail(bad("%s is longer than %d bytes", name, most))
		return ""
	}
	return s
}

func (r *reader) integer(name string) uint64 {
	if !r.has(name) {
		return 0
	}
	n, err := strconv.ParseUint(string(r.object[name]), 10, 64)
	switch {
	case err != nil && isDigits(r.object[name]), n > MaxSeq:
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
	if !r.has(name) {
		return false
	}
	if err := json.Unmarshal(r.object[name], into); err != nil {
		r.fail(bad("%s must be %s", name, want))
		return false
	}
	return true
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
