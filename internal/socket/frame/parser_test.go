package frame_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

const testMax = 1000

// parse feeds data to a new parser in the slices that next chooses the sizes of, and writes down
// what came of it.
func parse(rules frame.Rules, data []byte, next func(left int) int) (told []string) {
	var p frame.Parser
	for len(data) > 0 {
		n := next(len(data))
		// A copy with nothing behind it: the parser must neither need nor touch what follows.
		slice := append(make([]byte, 0, n), data[:n]...)
		data = data[n:]
		for len(slice) > 0 {
			ev, rest, err := p.Next(&rules, slice)
			if err != nil {
				v := new(frame.Violation)
				if !errors.As(err, &v) {
					return append(told, "error that is no violation: "+err.Error())
				}
				return append(told, fmt.Sprintf("violation %d %s", v.Code, v.Reason))
			}
			if ev.Op != 0 {
				told = append(told, fmt.Sprintf("%d %q", ev.Op, ev.Payload))
			}
			slice = rest
		}
	}
	return told
}

func whole(left int) int { return left }

func inBytes(int) int { return 1 }

// in makes the frame of a peer of the given role: part of it may be broken.
func in(role frame.Role, b0 byte, payload string) []byte {
	h := frame.Header{
		Final: b0&0x80 != 0, Op: frame.Opcode(b0 & 0x0F), Masked: role == frame.Server,
		Key: [4]byte{9, 8, 7, 6}, Length: uint64(len(payload)),
	}
	f := frame.AppendHeader(nil, h)
	f[0] = b0
	body := []byte(payload)
	if h.Masked {
		frame.Mask(body, h.Key, 0)
	}
	return append(f, body...)
}

type sent struct {
	b0      byte
	payload string
}

var streams = []struct {
	name string
	sent []sent
	want []string
}{
	{"text", []sent{{0x81, "hi"}}, []string{`1 "hi"`}},
	{"empty text", []sent{{0x81, ""}}, []string{`1 ""`}},
	{"binary", []sent{{0x82, "\xff\x00"}}, []string{`2 "\xff\x00"`}},
	{"ping and pong", []sent{{0x89, "a"}, {0x8A, "b"}, {0x89, ""}}, []string{`9 "a"`, `10 "b"`, `9 ""`}},
	{"largest control", []sent{{0x89, strings.Repeat("p", 125)}}, []string{fmt.Sprintf("9 %q", strings.Repeat("p", 125))}},
	{"fragments", []sent{{0x01, "a"}, {0x00, "b"}, {0x80, "c"}}, []string{`1 "abc"`}},
	{"empty fragments", []sent{{0x01, ""}, {0x00, ""}, {0x80, ""}, {0x81, "x"}}, []string{`1 ""`, `1 "x"`}},
	{"last fragment only", []sent{{0x01, ""}, {0x80, "all"}}, []string{`1 "all"`}},
	{"binary fragments", []sent{{0x02, "\xfe"}, {0x80, "\xff"}}, []string{`2 "\xfe\xff"`}},
	{"control between fragments", []sent{{0x01, "a"}, {0x89, "p"}, {0x00, "b"}, {0x8A, "q"}, {0x80, "c"}},
		[]string{`9 "p"`, `10 "q"`, `1 "abc"`}},
	{"two messages in fragments", []sent{{0x01, "a"}, {0x80, "b"}, {0x02, "c"}, {0x80, "d"}}, []string{`1 "ab"`, `2 "cd"`}},
	{"character parted by fragments", []sent{{0x01, "\xe2"}, {0x00, "\x82"}, {0x80, "\xac"}}, []string{`1 "€"`}},
	{"largest message", []sent{{0x81, strings.Repeat("x", testMax)}}, []string{fmt.Sprintf("1 %q", strings.Repeat("x", testMax))}},
	{"close", []sent{{0x88, "\x03\xe8bye"}}, []string{`8 "\x03\xe8bye"`}},
	{"empty close", []sent{{0x88, ""}}, []string{`8 ""`}},
	{"bytes after a close", []sent{{0x88, ""}, {0x81, "late"}, {0xFF, "broken"}}, []string{`8 ""`}},
	{"close inside a message", []sent{{0x01, "a"}, {0x88, "\x0f\xa0"}}, []string{`8 "\x0f\xa0"`}},

	{"first reserved bit", []sent{{0xC1, "x"}}, []string{"violation 1002 reserved bit set"}},
	{"second reserved bit", []sent{{0xA1, "x"}}, []string{"violation 1002 reserved bit set"}},
	{"third reserved bit", []sent{{0x91, "x"}}, []string{"violation 1002 reserved bit set"}},
	{"reserved bit in a ping", []sent{{0x81, "ok"}, {0xC9, ""}}, []string{`1 "ok"`, "violation 1002 reserved bit set"}},
	{"fragmented ping", []sent{{0x09, "x"}}, []string{"violation 1002 fragmented control frame"}},
	{"fragmented close", []sent{{0x08, ""}}, []string{"violation 1002 fragmented control frame"}},
	{"control frame too long", []sent{{0x89, strings.Repeat("p", 126)}}, []string{"violation 1002 control frame longer than 125 bytes"}},
	{"continuation of nothing", []sent{{0x80, "x"}}, []string{"violation 1002 continuation of no message"}},
	{"continuation after the end", []sent{{0x01, "a"}, {0x80, "b"}, {0x80, "c"}},
		[]string{`1 "ab"`, "violation 1002 continuation of no message"}},
	{"message inside a message", []sent{{0x01, "a"}, {0x81, "b"}}, []string{"violation 1002 new message inside a fragmented one"}},
	{"binary inside a text", []sent{{0x01, "a"}, {0x02, "b"}}, []string{"violation 1002 new message inside a fragmented one"}},
	{"text not UTF-8", []sent{{0x81, "\xff"}}, []string{"violation 1007 text is not UTF-8"}},
	{"surrogate", []sent{{0x81, "\xed\xa0\x80"}}, []string{"violation 1007 text is not UTF-8"}},
	{"overlong", []sent{{0x81, "\xc0\xaf"}}, []string{"violation 1007 text is not UTF-8"}},
	{"beyond Unicode", []sent{{0x81, "\xf4\x90\x80\x80"}}, []string{"violation 1007 text is not UTF-8"}},
	{"character cut off", []sent{{0x81, "\xe2\x82"}}, []string{"violation 1007 text is not UTF-8"}},
	{"character cut off by the last fragment", []sent{{0x01, "\xe2"}, {0x80, "\x82"}}, []string{"violation 1007 text is not UTF-8"}},
	{"wrong before the end", []sent{{0x01, "ok\xff"}}, []string{"violation 1007 text is not UTF-8"}},
	{"wrong across fragments", []sent{{0x01, "\xe2"}, {0x00, "x"}}, []string{"violation 1007 text is not UTF-8"}},
	{"close of one byte", []sent{{0x88, "\x03"}}, []string{"violation 1002 close frame with half a code"}},
	{"close with 1005", []sent{{0x88, "\x03\xed"}}, []string{"violation 1002 close frame with a code that must not be sent"}},
	{"close with 999", []sent{{0x88, "\x03\xe7"}}, []string{"violation 1002 close frame with a code that must not be sent"}},
	{"close with 5000", []sent{{0x88, "\x13\x88"}}, []string{"violation 1002 close frame with a code that must not be sent"}},
	{"close reason not UTF-8", []sent{{0x88, "\x03\xe8\xff"}}, []string{"violation 1007 close reason is not UTF-8"}},
	{"message too big", []sent{{0x81, strings.Repeat("x", testMax+1)}}, []string{"violation 1009 message too big"}},
	{"binary too big", []sent{{0x82, strings.Repeat("x", testMax+1)}}, []string{"violation 1009 message too big"}},
	{"fragments too big together", []sent{{0x01, strings.Repeat("x", testMax)}, {0x00, ""}, {0x80, "x"}},
		[]string{"violation 1009 message too big"}},
}

func roles(t *testing.T, test func(t *testing.T, rules frame.Rules)) {
	for name, role := range map[string]frame.Role{"server": frame.Server, "client": frame.Client} {
		t.Run(name, func(t *testing.T) { test(t, frame.Rules{Role: role, MaxMessage: testMax}) })
	}
}

func TestEveryStreamIsReadAsTheRFCSaysHoweverItIsSliced(t *testing.T) {
	random := func(left int) int { return 1 + rand.IntN(min(left, 40)) }
	roles(t, func(t *testing.T, rules frame.Rules) {
		for _, s := range streams {
			var data []byte
			for _, f := range s.sent {
				data = append(data, in(rules.Role, f.b0, f.payload)...)
			}
			for how, next := range map[string]func(int) int{"whole": whole, "in bytes": inBytes, "sliced": random} {
				if got := parse(rules, data, next); !reflect.DeepEqual(got, s.want) {
					t.Errorf("%s, %s: got %q, want %q", s.name, how, got, s.want)
				}
			}
		}
	})
}

func TestEveryReservedOpcodeIsRefusedByItsFirstByte(t *testing.T) {
	roles(t, func(t *testing.T, rules frame.Rules) {
		for op := range byte(16) {
			known := op <= 2 || op >= 8 && op <= 10
			got := parse(rules, []byte{0x80 | op}, whole)
			if refused := len(got) == 1 && got[0] == "violation 1002 reserved opcode"; refused == known {
				t.Errorf("opcode %d: got %q", op, got)
			}
		}
	})
}

func TestEachRoleRefusesTheMaskingOfTheOther(t *testing.T) {
	server := frame.Rules{Role: frame.Server, MaxMessage: testMax}
	if got := parse(server, in(frame.Client, 0x81, "x")[:2], whole); len(got) != 1 || got[0] != "violation 1002 frame of a client is not masked" {
		t.Errorf("unmasked frame to a server: got %q", got)
	}
	client := frame.Rules{Role: frame.Client, MaxMessage: testMax}
	if got := parse(client, in(frame.Server, 0x81, "x")[:2], whole); len(got) != 1 || got[0] != "violation 1002 frame of a server is masked" {
		t.Errorf("masked frame to a client: got %q", got)
	}
}

func TestALengthInMoreBytesThanItNeedsIsRefused(t *testing.T) {
	rules := frame.Rules{Role: frame.Client, MaxMessage: 1 << 20}
	for _, head := range []string{
		"\x81\x7e\x00\x7d", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "\x81\x7f\x80\x00\x00\x00\x00\x01\x00\x00",
	} {
		if got := parse(rules, []byte(head), inBytes); len(got) != 1 || !strings.HasPrefix(got[0], "violation 1002 length") {
			t.Errorf("header % x: got %q, want violation 1002", head, got)
		}
	}
}

func TestAnOversizedFrameIsRefusedByItsHeaderAlone(t *testing.T) {
	roles(t, func(t *testing.T, rules frame.Rules) {
		for _, length := range []uint64{testMax + 1, 1 << 16, 1 << 40, 1<<63 - 1} {
			h := frame.Header{Final: true, Op: frame.OpText, Masked: rules.Role == frame.Server, Length: length}
			got := parse(rules, frame.AppendHeader(nil, h), inBytes)
			if len(got) != 1 || got[0] != "violation 1009 message too big" {
				t.Errorf("header that announces %d bytes: got %q", length, got)
			}
		}
	})
}

func TestAnAnnouncedPayloadTakesNoMemoryBeforeItComes(t *testing.T) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: 64 << 10}
	head := frame.AppendHeader(nil, frame.Header{Final: true, Op: frame.OpText, Masked: true, Length: 64 << 10})
	head = append(head, 'x')
	const parsers = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range parsers {
		var p frame.Parser
		if _, _, err := p.Next(&rules, head[:len(head):len(head)]); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	perConnection := (after.TotalAlloc - before.TotalAlloc) / parsers
	if perConnection > 256 {
		t.Errorf("a header and one byte of 64 KiB take %d bytes, want at most 256", perConnection)
	}
}

func TestBinaryThatIsSkippedKeepsNothing(t *testing.T) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: testMax, SkipBinary: true}
	data := append(in(frame.Server, 0x02, strings.Repeat("x", 500)), in(frame.Server, 0x80, strings.Repeat("y", 500))...)
	for _, next := range []func(int) int{whole, inBytes} {
		if got := parse(rules, data, next); len(got) != 1 || got[0] != `2 ""` {
			t.Errorf("skipped binary: got %q, want one event without payload", got)
		}
	}
	data = append(in(frame.Server, 0x02, strings.Repeat("x", testMax)), in(frame.Server, 0x80, "y")...)
	if got := parse(rules, data, inBytes); len(got) != 1 || got[0] != "violation 1009 message too big" {
		t.Errorf("skipped binary that is too big: got %q", got)
	}
}

func TestAParserBetweenMessagesIsIdle(t *testing.T) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: testMax}
	var data []byte
	for _, f := range []sent{{0x01, "a"}, {0x89, "p"}, {0x80, "b"}, {0x81, "c"}} {
		data = append(data, in(frame.Server, f.b0, f.payload)...)
	}
	var p frame.Parser
	var idle []int
	for i := range data {
		if p.IsIdle() {
			idle = append(idle, i)
		}
		if _, _, err := p.Next(&rules, data[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{0, 21}; !reflect.DeepEqual(idle, want) {
		t.Errorf("idle before bytes %v, want %v", idle, want)
	}
	if !p.IsIdle() {
		t.Error("not idle after the last message")
	}
}

func TestAViolationIsRepeated(t *testing.T) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: testMax}
	var p frame.Parser
	_, _, first := p.Next(&rules, []byte{0xFF})
	_, _, second := p.Next(&rules, in(frame.Server, 0x81, "fine"))
	if first == nil || first != second {
		t.Errorf("got %v, then %v, want the same violation twice", first, second)
	}
}
