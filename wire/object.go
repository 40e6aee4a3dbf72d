package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

func parseObject(frame []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(frame))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("the frame is not a JSON object")
	}
	o := make(object, 8)
	for dec.More() {
		if err := o.field(dec); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad("the frame is not valid JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("the frame goes on after its JSON object")
	}
	return o, nil
}

func (o object) field(dec *json.Decoder) error {
	t, err := dec.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return bad("the frame is not valid JSON")
	}
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return bad("the frame is not valid JSON")
	}
	if _, twice := o[name]; twice {
		return bad("a field stands in the frame twice")
	}
	o[name] = value
	return nil
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
	var s string
	if !r.decode(name, &s, "a string") {
		return ""
	}
	if len(s) > most {
		r.fail(bad("%s is longer than %d bytes", name, most))
		return ""
	}
	return s
}

func (r *reader) integer(name string) uint64 {
	var n uint64
	if r.decode(name, &n, "a whole number") && n > MaxSeq {
		r.fail(bad("%s is larger than 2^53-1", name))
	}
	return n
}

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
