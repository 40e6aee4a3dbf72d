package socket

import "testing"

const plainHead = "GET /ws HTTP/1.1\r\nHost: fleet.test:5000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nUser-Agent: fleetline\r\n\r\n"

// BenchmarkReadHead reads the head of a plain handshake and judges it.
func BenchmarkReadHead(b *testing.B) {
	h := newHeadReader()
	b.ReportAllocs()
	for b.Loop() {
		r, _, ok := h.read([]byte(plainHead))
		if !ok {
			b.Fatal("it is left to net/http")
		}
		if _, bad := checkHandshake(r); bad != nil {
			b.Fatal(bad)
		}
	}
}
