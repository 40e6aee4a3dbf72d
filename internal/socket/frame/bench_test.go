package frame_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

func BenchmarkParse(b *testing.B) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: 64 << 10}
	for _, size := range []int{16, 128, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			// With a key of zeros the frame stays as it is when it is unmasked in place.
			f := frame.AppendMasked(nil, frame.OpText, [4]byte{}, bytes.Repeat([]byte("a"), size))
			b.SetBytes(int64(len(f)))
			b.ReportAllocs()
			var p frame.Parser
			for b.Loop() {
				if ev, _, err := p.Next(&rules, f); ev.Op != frame.OpText || err != nil {
					b.Fatal(ev.Op, err)
				}
			}
		})
	}
}

func BenchmarkParseInTwoReads(b *testing.B) {
	rules := frame.Rules{Role: frame.Server, MaxMessage: 64 << 10}
	f := frame.AppendMasked(nil, frame.OpText, [4]byte{}, bytes.Repeat([]byte("a"), 128))
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	var p frame.Parser
	for b.Loop() {
		if _, _, err := p.Next(&rules, f[:60]); err != nil {
			b.Fatal(err)
		}
		if ev, _, err := p.Next(&rules, f[60:]); ev.Op != frame.OpText || err != nil {
			b.Fatal(ev.Op, err)
		}
	}
}

func BenchmarkMask(b *testing.B) {
	for _, size := range []int{16, 128, 4 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				frame.Mask(data, [4]byte{1, 2, 3, 4}, 1)
			}
		})
	}
}

func BenchmarkAppendText(b *testing.B) {
	payload := bytes.Repeat([]byte("a"), 128)
	b.ReportAllocs()
	for b.Loop() {
		_ = frame.AppendText(nil, payload)
	}
}
