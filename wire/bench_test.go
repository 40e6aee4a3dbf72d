package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func benchmarkParseUp(b *testing.B, frame string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	text := []byte(frame)
	for b.Loop() {
		if _, err := wire.ParseUp(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUpPong(b *testing.B)        { benchmarkParseUp(b, `{"type":"pong"}`) }
func BenchmarkParseUpPongWithSeq(b *testing.B) { benchmarkParseUp(b, `{"type":"pong","seq":123456}`) }
func BenchmarkParseUpAuth(b *testing.B) {
	benchmarkParseUp(b, `{"type":"auth","apiKey":"flk_0123456789012345678901234567890123456789012","v":1,"machineId":"mch_abcdefgh_0123456789","machine":{"hostname":"pi-7","os":"linux","arch":"arm64","cpuCores":4,"ramBytes":4136894464,"hwid":"9f2c0123456789abcdef0123456789ab"},"lastSeq":1041,"epoch":"k3vq"}`)
}

func BenchmarkParseDownData(b *testing.B) {
	b.ReportAllocs()
	frame := wire.AppendData(nil, 1042, "job-7", []byte(`{"load1":0.42,"memUsedBytes":123456789,"rxBytes":1234,"txBytes":5678}`))
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, err := wire.ParseDown(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendData(b *testing.B) {
	b.ReportAllocs()
	data := []byte(`{"load1":0.42,"memUsedBytes":123456789,"rxBytes":1234,"txBytes":5678}`)
	var frame []byte
	for b.Loop() {
		frame = wire.AppendData(frame[:0], 1042, "", data)
	}
}

func BenchmarkEncodeAuthSuccess(b *testing.B) {
	b.ReportAllocs()
	hello := wire.AuthSuccess{SessionToken: strings.Repeat("t", 300), Message: wire.TextAuthenticated, Welcome: &wire.Welcome{
		MachineID: "mch_abcdefgh_0123456789", SessionID: "ses_0123456789abc", ExpiresAt: time.Unix(1e9, 0).UTC(), HeartbeatSeconds: 30, Seq: 1041, Epoch: "k3vq",
	}}
	for b.Loop() {
		wire.MustEncode(hello)
	}
}
