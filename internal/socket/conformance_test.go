package socket_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

const maxTest = 1000

// masked makes a frame of a client; b0 may break rules.
func masked(b0 byte, payload string) []byte {
	f := frame.AppendMasked(nil, frame.Opcode(b0&0x0F), testKey, []byte(payload))
	f[0] = b0
	return f
}

func stream(frames ...[]byte) []byte { return slices.Concat(frames...) }

func closing(code uint16, reason string) []byte {
	f := frame.AppendClose(nil, code, reason)
	return masked(0x88, string(f[frame.HeaderLen(f):]))
}

var bye = closing(1000, "bye")

// broken is what a case expects that ends with a violation.
func broken(heard []string, code int, why string) (handler, peer []string) {
	return append(heard, fmt.Sprintf("closed by us: %d %s", code, why)), []string{fmt.Sprintf("close %d %s", code, why)}
}

// fine is what a case expects that ends with bye.
func fine(heard ...string) (handler, peer []string) {
	return append(heard, "closed by peer: 1000 bye"), []string{"close 1000 bye"}
}

func big(n int) string { return strings.Repeat("x", n) }

type exchange struct {
	name          string
	sent          []byte
	handler, peer []string
}

func expecting(name string, sent []byte) func(handler, peer []string) exchange {
	return func(handler, peer []string) exchange { return exchange{name, sent, handler, peer} }
}

func conformance() []exchange {
	header := func(h frame.Header) []byte { h.Masked = true; return frame.AppendHeader(nil, h) }
	list := []exchange{
		expecting("text", stream(masked(0x81, "hello"), bye))(fine(`text "hello"`)),
		expecting("empty text", stream(masked(0x81, ""), bye))(fine(`text ""`)),
		expecting("binary", stream(masked(0x82, "\x00\xff"), bye))(fine("binary")),
		expecting("binary in fragments", stream(masked(0x02, "\x00"), masked(0x80, "\xff"), bye))(fine("binary")),
		expecting("pong nobody asked for", stream(masked(0x8A, "x"), bye))(fine()),
		expecting("largest message", stream(masked(0x81, big(maxTest)), bye))(fine(fmt.Sprintf("text %.40q", big(maxTest)))),
		expecting("fragments", stream(masked(0x01, "a"), masked(0x00, "b"), masked(0x80, "c"), bye))(fine(`text "abc"`)),
		expecting("pong between fragments", stream(masked(0x01, "a"), masked(0x8A, "p"), masked(0x80, "c"), bye))(fine(`text "ac"`)),
		expecting("character over fragments", stream(masked(0x01, "\xe2\x82"), masked(0x80, "\xac"), bye))(fine(`text "€"`)),

		expecting("reserved bits", masked(0xF1, "x"))(broken(nil, 1002, "reserved bit set")),
		expecting("unmasked", frame.AppendText(nil, []byte("x")))(broken(nil, 1002, "frame of a client is not masked")),
		expecting("ping of 126 bytes", masked(0x89, big(126)))(broken(nil, 1002, "control frame longer than 125 bytes")),
		expecting("fragmented ping", masked(0x09, "x"))(broken(nil, 1002, "fragmented control frame")),
		expecting("continuation of nothing", masked(0x80, "x"))(broken(nil, 1002, "continuation of no message")),
		expecting("text inside fragments", stream(masked(0x01, "a"), masked(0x81, "b")))(broken(nil, 1002, "new message inside a fragmented one")),
		expecting("good text, then broken", stream(masked(0x81, "a"), masked(0x83, "b"), masked(0x81, "c")))(
			broken([]string{`text "a"`}, 1002, "reserved opcode")),
		expecting("not UTF-8", masked(0x81, "\xff"))(broken(nil, 1007, "text is not UTF-8")),
		expecting("not UTF-8 over fragments", stream(masked(0x01, "\xe2"), masked(0x80, "x")))(broken(nil, 1007, "text is not UTF-8")),
		expecting("too big by its header", header(frame.Header{Final: true, Op: frame.OpText, Length: 1 << 40}))(
			broken(nil, 1009, "message too big")),
		expecting("fragments too big", stream(masked(0x01, big(maxTest)), header(frame.Header{Final: true, Length: 1})))(
			broken(nil, 1009, "message too big")),

		expecting("close without a code", masked(0x88, ""))([]string{"closed by peer: 1005"}, []string{"close 1005"}),
		expecting("close of one byte", masked(0x88, "\x03"))(broken(nil, 1002, "close frame with half a code")),
		expecting("reason not UTF-8", masked(0x88, "\x03\xe8\xff"))(broken(nil, 1007, "close reason is not UTF-8")),
		expecting("longest reason", closing(1000, big(123)))(
			[]string{"closed by peer: 1000 " + big(123)}, []string{"close 1000 " + big(123)}),
		expecting("text after close", stream(bye, masked(0x81, "late")))(fine()),
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		list = append(list, expecting(fmt.Sprintf("opcode %d", op), masked(0x80|op, ""))(broken(nil, 1002, "reserved opcode")))
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		list = append(list, expecting(fmt.Sprintf("close %d", code), closing(code, ""))(
			[]string{fmt.Sprintf("closed by peer: %d", code)}, []string{fmt.Sprintf("close %d", code)}))
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		list = append(list, expecting(fmt.Sprintf("close %d", code), masked(0x88, string([]byte{byte(code >> 8), byte(code)})))(
			broken(nil, 1002, "close frame with a code that must not be sent")))
	}
	return list
}

// cutAtRandom cuts b into short parts.
func cutAtRandom(b []byte) (parts [][]byte) {
	for len(b) > 0 {
		n := 1 + rand.IntN(min(len(b), 30))
		parts, b = append(parts, b[:n]), b[n:]
	}
	return parts
}

func TestPeersAreAnsweredAsRFC6455Says(t *testing.T) {
	everywhere(t, socket.Config{MaxFrame: maxTest}, sockets, func(t *testing.T, b *rig) {
		for _, x := range conformance() {
			for how, parts := range map[string][][]byte{"whole": {x.sent}, "sliced": cutAtRandom(x.sent)} {
				t.Run(x.name+" "+how, func(t *testing.T) { exchangeFrames(t, b, x, parts) })
			}
		}
	})
}

func exchangeFrames(t *testing.T, b *rig, x exchange, parts [][]byte) {
	_, far := b.open(t)
	peer := far.(*rawPeer)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for _, part := range parts {
			if peer.writeRaw(part) != nil {
				return // it was closed on, which the answer shows
			}
		}
	}()
	var answers []string
	for {
		answer := peer.read(t)
		answers = append(answers, answer)
		if strings.HasPrefix(answer, "close") || strings.HasPrefix(answer, "end") {
			break
		}
	}
	peer.drop()
	receive(t, written)
	if !slices.Equal(answers, x.peer) {
		t.Errorf("peer was answered %q, want %q", answers, x.peer)
	}
	b.recorder.expect(t, x.handler...)
}

func TestAPingIsAnsweredWithItsPayload(t *testing.T) {
	everywhere(t, socket.Config{}, sockets, func(t *testing.T, b *rig) {
		_, far := b.open(t)
		peer := far.(*rawPeer)
		for _, sent := range [][]byte{
			masked(0x89, ""), masked(0x89, "a"), masked(0x89, big(125)), stream(masked(0x01, "part"), masked(0x89, "inside")),
		} {
			if err := peer.writeRaw(sent); err != nil {
				t.Fatal(err)
			}
			f := sent[bytes.LastIndexByte(sent, 0x89):]
			payload := bytes.Clone(f[frame.HeaderLen(f):])
			frame.Mask(payload, testKey, 0)
			if got, want := peer.read(t), "pong "+string(payload); got != want {
				t.Errorf("ping answered %q, want %q", got, want)
			}
		}
	})
}

func TestAPeerThatBrokeTheProtocolFindsTheEndBehindTheClose(t *testing.T) {
	everywhere(t, socket.Config{}, doors, func(t *testing.T, b *rig) {
		_, far := b.open(t)
		peer := far.(*rawPeer)
		// More than anybody buffers: whoever answers without reading on would reset the connection.
		announced := frame.AppendHeader(nil, frame.Header{Final: true, Op: frame.OpText, Masked: true, Length: 4 << 20})
		go func() { _ = peer.writeRaw(append(announced, make([]byte, 4<<20)...)) }()
		if got, want := peer.read(t), "close 1009 message too big"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
		if got := peer.read(t); got != "end: EOF" {
			t.Errorf("read %q behind the close, want the end", got)
		}
		peer.drop()
		b.recorder.expect(t, "closed by us: 1009 message too big")
	})
}
