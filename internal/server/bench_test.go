package server_test

import (
	"testing"

	"github.com/fleetline/fleetline/fleetlinetest"
)

// BenchmarkHandshake connects and authenticates an enrolled machine, both ends and the real
// directory included: first with the key, then with the token.
func BenchmarkHandshake(b *testing.B) {
	g := fleetlinetest.Start(b)
	_, key := g.AddAccount("bench")
	first, hello := login(b, g.URL, withHWID(key, "hw"))
	first.say(frame{"type": "disconnect"})
	first.end()
	for name, auth := range map[string]frame{"key": withHWID(key, "hw"), "token": withToken(hello.text("sessionToken"))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l, _ := login(b, g.URL, auth)
				l.say(frame{"type": "disconnect"})
				l.end()
			}
		})
	}
}
