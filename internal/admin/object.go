package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fleetline/fleetline/api"
)

// object reads the fields of one JSON object strictly: names are case-sensitive, none may stand
// twice, none may be unknown. encoding/json allows all three, and a typing error would then publish
// something else than was meant. The first problem is kept, so that decoders read as a list of
// fields. Problems never repeat a value.
type object struct {
	path   string // of the object in its body, with a final dot; empty for the body itself
	fields map[string][]byte
	err    *api.Error
}

// readBody reads the object that a whole body is. Values are parts of body.
func readBody(body []byte) *object {
	if !utf8.Valid(body) {
		return broken("the body is not UTF-8")
	}
	if !json.Valid(body) {
		return broken("the body is not valid JSON" + position(body))
	}
	return readObject("", body)
}

func broken(detail string) *object {
	return &object{err: api.NewError(api.CodeInvalidJSON, detail)}
}

func position(body []byte) string {
	var whole json.RawMessage
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(body, &whole), &syntax) {
		return fmt.Sprintf(" (at byte %d)", syntax.Offset)
	}
	return ""
}

// readObject splits valid JSON into fields.
func readObject(path string, valid []byte) *object {
	o := &object{path: path, fields: make(map[string][]byte, 6)}
	rest := skipSpace(valid)
	if rest[0] != '{' {
		o.fail(api.CodeInvalidRequest, "%s must be a JSON object", o.name())
		return o
	}
	rest = skipSpace(rest[1:])
	for rest[0] != '}' {
		name, after := splitValue(rest)
		value, next := splitValue(skipSpace(skipSpace(after)[1:])) // the colon
		o.add(unquote(name), value)
		rest = skipSpace(next)
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return o
}

func (o *object) add(name string, value []byte) {
	if _, twice := o.fields[name]; twice {
		o.fail(api.CodeInvalidRequest, "%s stands in the body twice", o.path+printable(name))
	}
	o.fields[name] = value
}

func (o *object) name() string {
	if o.path == "" {
		return "the body"
	}
	return strings.TrimSuffix(o.path, ".")
}

func (o *object) fail(code api.Code, format string, args ...any) {
	if o.err == nil {
		o.err = api.NewError(code, fmt.Sprintf(format, args...))
	}
}

// take removes a field and returns its value, nil if it was not sent.
func (o *object) take(name string) []byte {
	v := o.fields[name]
	delete(o.fields, name)
	return v
}

// text takes a string; null counts as not sent.
func (o *object) text(name string, most int) string {
	v := o.take(name)
	if isNull(v) {
		return ""
	}
	if v[0] != '"' {
		o.fail(api.CodeInvalidRequest, "%s must be a string", o.path+name)
		return ""
	}
	s := unquote(v)
	if len(s) > most {
		o.fail(api.CodeInvalidRequest, "%s is longer than %d bytes", o.path+name, most)
	}
	return s
}

// plain takes a string without control characters: ids and names stand in headers, logs and tables.
func (o *object) plain(name string, most int) string {
	s := o.text(name, most)
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			o.fail(api.CodeInvalidRequest, "%s must not contain control characters", o.path+name)
		}
	}
	return s
}

// integer takes a whole number between least and most; absent is 0.
func (o *object) integer(name string, least, most int64) int64 {
	v := o.take(name)
	if isNull(v) {
		return 0
	}
	var n int64
	if json.Unmarshal(v, &n) != nil || n < least || n > most {
		o.fail(api.CodeInvalidRequest, "%s must be a whole number from %d to %d", o.path+name, least, most)
	}
	return n
}

// words takes a list of a few strings; null counts as not sent.
func (o *object) words(name string) (list []string) {
	v := o.take(name)
	if !isNull(v) && (json.Unmarshal(v, &list) != nil || len(list) > mostWords) {
		o.fail(api.CodeInvalidRequest, "%s must be a short list of strings", o.path+name)
		return nil
	}
	return list
}

// mostWords bounds a list of words.
const mostWords = 16

func (o *object) flag(name string) bool {
	v := o.take(name)
	switch {
	case string(v) == "true":
		return true
	case !isNull(v) && string(v) != "false":
		o.fail(api.CodeInvalidRequest, "%s must be true or false", o.path+name)
	}
	return false
}

// end is the first problem; a field that nobody took is one.
func (o *object) end() error {
	for name := range o.fields {
		o.fail(api.CodeUnknownField, "there is no field %s", o.path+printable(name))
	}
	if o.err != nil {
		return o.err
	}
	return nil
}

func isNull(v []byte) bool { return v == nil || string(v) == "null" }

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// splitValue cuts the first value off valid JSON.
func splitValue(b []byte) (value, rest []byte) {
	n := valueLen(b)
	return b[:n], b[n:]
}

func valueLen(b []byte) int {
	switch b[0] {
	case '"':
		return stringLen(b)
	case '{', '[':
		return nestedLen(b)
	}
	if n := bytes.IndexAny(b, " \t\r\n,:]}"); n >= 0 {
		return n
	}
	return len(b)
}

func stringLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func nestedLen(b []byte) int {
	depth := 0
	for i := 0; ; {
		switch b[i] {
		case '"':
			i += stringLen(b[i:])
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}

func unquote(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1])
	}
	var s string
	json.Unmarshal(b, &s) // b is valid JSON
	return s
}
