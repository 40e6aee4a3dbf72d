package frame_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

func fuzzParser(f *testing.F, role frame.Role) {
	for i, s := range streams {
		var data []byte
		for _, sent := range s.sent {
			data = append(data, in(role, sent.b0, sent.payload)...)
		}
		f.Add(data, uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, seed))
		sliced := func(left int) int { return 1 + r.IntN(left) }
		for _, rules := range []frame.Rules{
			{Role: role, MaxMessage: testMax},
			{Role: role, MaxMessage: 3, SkipBinary: true},
		} {
			want := parse(rules, data, whole)
			for name, next := range map[string]func(int) int{"in bytes": inBytes, "in slices": sliced} {
				if got := parse(rules, data, next); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %q, whole: %q", name, got, want)
				}
			}
			for i, told := range want {
				if strings.HasPrefix(told, "error") || strings.HasPrefix(told, "violation") && i != len(want)-1 {
					t.Errorf("event %d of %q", i, want)
				}
			}
		}
	})
}

func FuzzParserOfAServer(f *testing.F) { fuzzParser(f, frame.Server) }

func FuzzParserOfAClient(f *testing.F) { fuzzParser(f, frame.Client) }

// FuzzRoundTrip writes a message as one role does, in two fragments, and reads it as the other does.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint32(7), uint16(2))
	f.Add([]byte("\xe2\x82\xac"), uint32(0), uint16(1))
	f.Add([]byte("\xff"), uint32(1), uint16(0))
	f.Fuzz(func(t *testing.T, payload []byte, key uint32, at uint16) {
		parted := min(int(at), len(payload))
		for _, role := range []frame.Role{frame.Server, frame.Client} {
			h := frame.Header{Op: frame.OpText, Masked: role == frame.Server, Length: uint64(parted)}
			h.Key = [4]byte{byte(key), byte(key >> 8), byte(key >> 16), byte(key >> 24)}
			data := appendFragment(nil, h, payload[:parted])
			h.Final, h.Op, h.Length = true, frame.OpContinuation, uint64(len(payload)-parted)
			data = appendFragment(data, h, payload[parted:])

			var p frame.Parser
			rules := frame.Rules{Role: role, MaxMessage: len(payload)}
			ev, rest, err := p.Next(&rules, data)
			if valid := utf8.Valid(payload); valid != (err == nil) {
				t.Fatalf("%q: error %v", payload, err)
			} else if valid && (ev.Op != frame.OpText || !bytes.Equal(ev.Payload, payload) || len(rest) > 0) {
				t.Fatalf("%q: got %d %q and %d bytes", payload, ev.Op, ev.Payload, len(rest))
			}
		}
	})
}

func appendFragment(dst []byte, h frame.Header, payload []byte) []byte {
	dst = frame.AppendHeader(dst, h)
	start := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		frame.Mask(dst[start:], h.Key, 0)
	}
	return dst
}

func FuzzParseClose(f *testing.F) {
	f.Add([]byte("\x03\xe8bye"))
	f.Add([]byte("\x03"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		payload = payload[:min(len(payload), frame.MaxControl)]
		code, reason, err := frame.ParseClose(payload)
		if err != nil {
			return
		}
		again := frame.AppendClose(nil, code, reason)
		if !bytes.Equal(again[frame.HeaderLen(again):], payload) {
			t.Errorf("% x read as %d %q, written as % x", payload, code, reason, again)
		}
	})
}
