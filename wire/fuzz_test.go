package wire_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/wire"
)

// problems are all the words that an error of this package is made of. If an error holds nothing
// else, it holds nothing of the frame.
var problems = strings.NewReplacer(func() (pairs []string) {
	for _, word := range []string{
		"the frame is not a JSON object", "the frame is not valid JSON", "the frame goes on after its JSON object",
		"a field stands in the frame twice", "must be an object without repeated fields", "type is missing",
		"auth needs apiKey or sessionToken", "auth takes apiKey or sessionToken, not both",
		"must be a string", "must be a whole number", "must be a number", "must be true or false", "must be a time (RFC 3339)",
		"is longer than 1048576 bytes", "is longer than 4096 bytes", "is longer than 256 bytes", "is larger than 2^53-1",
		"apiKey", "sessionToken", "machineId", "sessionId", "machine", "lastSeq", "epoch", "hostname", "os", "arch", "cpuCores",
		"ramBytes", "hwid", "version", "type", "seq", "message", "code", "retryAfterMs", "id", "expiresAt", "recovered",
		"acked", "heartbeatSeconds", "v", ".", " ",
	} {
		pairs = append(pairs, word, "")
	}
	return pairs
}()...)

func checkProblem(t *testing.T, frame []byte, err error) {
	t.Helper()
	if rest := problems.Replace(err.Error()); rest != "" {
		t.Errorf("%q: the error %q holds %q", frame, err, rest)
	}
}

func seeds(f *testing.F) {
	for _, frame := range fixed {
		f.Add([]byte(frame.text))
	}
	for _, frame := range []string{
		`{"type":"auth","apiKey":"K","v":1,"machineId":"m","machine":{"hwid":"w","cpuCores":4},"lastSeq":7,"epoch":"e"}`,
		`{"type":"auth_success","sessionToken":"T","message":"m","machineId":"m","sessionId":"s","expiresAt":"2026-01-02T15:19:05Z","heartbeatSeconds":30,"seq":7,"epoch":"e","recovered":false,"acked":"a"}`,
		`{"type":"token","sessionToken":"T","expiresAt":"2026-01-02T15:19:05.5+01:00"}`, `{"type":"gap","seq":7}`,
		`{"type":"system_info","hostname":"h"}`, `{"type":"pong","seq":7}`, `{"type":"ping","ping":1,"ping":2}`, `[]`, `{"a":`, "\xff",
	} {
		f.Add([]byte(frame))
	}
}

func FuzzParseUp(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		up, err := wire.ParseUp(frame)
		if err != nil {
			checkProblem(t, frame, err)
			return
		}
		if up == (wire.Up)(wire.Unknown{}) {
			return
		}
		stable(t, up, func(b []byte) (any, error) { return wire.ParseUp(b) })
	})
}

func FuzzParseDown(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		down, err := wire.ParseDown(frame)
		if err != nil {
			checkProblem(t, frame, err)
			return
		}
		switch d := down.(type) {
		case wire.UnknownDown:
			return
		case wire.Data: // comparable only as text: white space inside data is kept
			if again, err := wire.ParseDown(wire.AppendData(nil, d.Seq, d.ID, d.Data)); err != nil || !reflect.DeepEqual(again, down) {
				t.Errorf("%+v became %+v, %v", down, again, err)
			}
			return
		}
		stable(t, down, func(b []byte) (any, error) { return wire.ParseDown(b) })
	})
}

// stable writes what was read, reads it, and writes it again: nothing may change any more.
func stable(t *testing.T, frame any, parse func([]byte) (any, error)) {
	t.Helper()
	first, err := wire.Encode(frame)
	if err != nil {
		t.Fatalf("encoding %#v: %v", frame, err)
	}
	again, err := parse(first)
	if err != nil {
		t.Fatalf("%s cannot be read: %v", first, err)
	}
	second, err := wire.Encode(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%s became %s, %v", first, second, err)
	}
}

func FuzzAppendData(f *testing.F) {
	f.Add(uint64(0), "", []byte(`{}`))
	f.Add(uint64(7), "id", []byte(` [1, "<"] `))
	f.Add(uint64(wire.MaxSeq), "\"\\\u2028\x00", []byte("null"))
	f.Fuzz(func(t *testing.T, seq uint64, id string, data []byte) {
		frame := wire.AppendData([]byte("head "), seq, id, data)[len("head "):]
		if !json.Valid(data) || !json.Valid(frame) { // valid data may be nested as deep as a decoder goes
			return
		}
		down, err := wire.ParseDown(frame)
		if seq > wire.MaxSeq || len(id) > wire.MaxDown {
			return
		}
		want := wire.Data{Seq: seq, ID: strings.ToValidUTF8(id, "\ufffd"), Data: bytes.Trim(data, " \t\r\n")}
		got, ok := down.(wire.Data)
		if err != nil || !ok || got.Seq != want.Seq || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s became %#v, %v", frame, down, err)
		}
		if id == want.ID && got.ID != id {
			t.Errorf("id %q became %q", id, got.ID)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("drain; retryAfterMs=1500")
	f.Add("retryAfterMs=99999999999999999999")
	f.Fuzz(func(t *testing.T, reason string) {
		if after := wire.RetryAfter(reason); after < 0 {
			t.Errorf("RetryAfter(%q) = %v", reason, after)
		}
	})
}
