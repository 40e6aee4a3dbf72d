package socket_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// outcome is what came of a stream of bytes, at both ends.
type outcome struct {
	heard   []string // by the handler, until Closed
	answers []string // to the peer, without pongs
	pongs   []string
}

// isCut tells that the stream ended without a close frame.
func (o outcome) isCut() bool {
	return strings.HasPrefix(o.heard[len(o.heard)-1], "closed by peer: 1006")
}

// twin is one of two engines that are given the same.
type twin struct {
	kind string
	rig  *rig
}

func newTwin(t *testing.T, kind string) twin {
	b := newRig(t, kind, socket.Config{MaxFrame: maxTest})
	b.recorder.onFrame = func(id socket.ID, payload []byte) {
		b.recorder.note(fmt.Sprintf("text %q", payload))
		b.engine.Send(id, socket.Prepare(payload))
		if strings.HasSuffix(string(payload), "end") {
			b.engine.End(id, prepare("goodbye"), 4000, "as asked")
		}
	}
	return twin{kind, b}
}

// feed gives the engine the parts, then the end of the stream, and gathers what comes of it.
func (w twin) feed(t *testing.T, parts [][]byte) (o outcome) {
	_, far := w.rig.open(t)
	peer := far.(*rawPeer)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for _, part := range parts {
			if peer.writeRaw(part) != nil {
				return // it was closed on, which the answers show
			}
		}
		_ = peer.Conn.(*net.TCPConn).CloseWrite()
	}()
	for {
		answer := peer.read(t)
		if isPong(answer) {
			o.pongs = append(o.pongs, answer)
			continue
		}
		if strings.HasPrefix(answer, "end") {
			break // with or without a reset: whoever closes on bytes that come late makes one
		}
		o.answers = append(o.answers, answer)
	}
	peer.drop()
	receive(t, written)
	for {
		heard := w.rig.recorder.next(t)
		o.heard = append(o.heard, heard)
		if strings.HasPrefix(heard, "closed") {
			return o
		}
	}
}

// randomStream is frames, most of them proper, some fragmented, some broken, of which the peer may
// have sent only a part.
func randomStream(r *rand.Rand) (b []byte) {
	texts := []string{"", "a", "hello", "gr\u00fc\u00dfe \u20ac", big(125), big(126), big(900), "the end", "\xff", "\xe2\x82"}
	ops := []byte{0x81, 0x81, 0x81, 0x82, 0x89, 0x8A, 0x01, 0x00, 0x80, 0x02}
	for range 1 + r.IntN(12) {
		b = append(b, masked(ops[r.IntN(len(ops))], texts[r.IntN(len(texts)-2+2*r.IntN(2))])...)
	}
	switch r.IntN(6) {
	case 0:
		b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
	case 1:
		b = b[:r.IntN(len(b))]
	case 2, 3, 4:
		code := []uint16{1000, 1001, 1005, 3000, 4999}[r.IntN(5)]
		b = append(b, closing(code, []string{"", "why"}[r.IntN(2)])...)
	}
	return b
}

// sliced cuts a stream as a network may deliver it.
func sliced(r *rand.Rand, b []byte) (parts [][]byte) {
	b = slices.Clone(b)
	most := []int{1 << 20, 300, 30, 3}[r.IntN(4)]
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), most))
		parts, b = append(parts, b[:n:n]), b[n:]
	}
	return parts
}

func TestBothEnginesMakeTheSameOfTheSameBytes(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	left, right := newTwin(t, "native"), newTwin(t, "tcp")
	for round := range 300 {
		b := randomStream(r)
		compare(t, left.feed(t, sliced(r, b)), right.feed(t, sliced(r, b)), pingsOf(b))
		if t.Failed() {
			t.Fatalf("seed %d, round %d: stream % x", seed, round, b)
		}
	}
}

// compare holds two outcomes against each other. Not every ping has to be answered (RFC 6455 5.5.3),
// but none that was not sent, and in order.
func compare(t *testing.T, left, right outcome, pings []string) {
	t.Helper()
	if !slices.Equal(left.heard, right.heard) {
		t.Errorf("handlers heard\n%q and\n%q", left.heard, right.heard)
	}
	if left.isCut() && right.isCut() {
		// Nobody is owed what was on the way to a peer that has gone without a word.
		n := min(len(left.answers), len(right.answers))
		left.answers, right.answers = left.answers[:n], right.answers[:n]
	}
	if !slices.Equal(left.answers, right.answers) {
		t.Errorf("peers were answered\n%q and\n%q", left.answers, right.answers)
	}
	for _, pongs := range [][]string{left.pongs, right.pongs} {
		rest := pings
		for _, p := range pongs {
			i := slices.Index(rest, p)
			if i < 0 {
				t.Fatalf("pongs %q to pings %q", pongs, pings)
			}
			rest = rest[i+1:]
		}
	}
}

// pingsOf are the answers that the pings of a stream deserve.
func pingsOf(b []byte) (pongs []string) {
	var p frame.Parser
	rules := frame.Rules{Role: frame.Server, MaxMessage: maxTest, SkipBinary: true}
	for b = slices.Clone(b); len(b) > 0; {
		ev, rest, err := p.Next(&rules, b)
		if err != nil {
			break
		}
		if ev.Op == frame.OpPing {
			pongs = append(pongs, "pong "+string(ev.Payload))
		}
		b = rest
	}
	return pongs
}

// FuzzEngines holds both engines against each other with bytes and slicing of the fuzzer's choice.
func FuzzEngines(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		f.Add(randomStream(r), r.Uint64())
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint64) {
		if len(b) > 1<<14 {
			return
		}
		r := rand.New(rand.NewPCG(cut, 3))
		left, right := newTwin(t, "native"), newTwin(t, "tcp")
		compare(t, left.feed(t, sliced(r, b)), right.feed(t, sliced(r, b)), pingsOf(b))
	})
}
