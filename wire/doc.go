// Package wire is Fleetline's protocol between machine and gateway: the JSON text frames, the
// close codes and the limits. Both ends import it, so they cannot disagree. SPEC.md beside this
// file is the truth; a client in another language can be written from it alone.
//
// The package decodes and encodes, and nothing else: it knows no socket and keeps no state.
package wire

import "time"

// Version is the protocol version a client announces as "v" in its auth frame.
const Version = 1

// Limits of the protocol. Those marked settable are defaults of the gateway.
const (
	// MaxUp is the largest frame a machine may send, in bytes of payload (settable).
	MaxUp = 64 << 10
	// MaxDown is the largest frame a gateway sends, in bytes of payload (settable).
	MaxDown = 1 << 20
	// MaxKey is the longest API key or session token an auth frame may carry, in bytes.
	MaxKey = 4 << 10
	// MaxField is the longest value of any other string field, in bytes.
	MaxField = 256
	// MaxSeq is the largest position: integers up to 2^53-1 survive every JSON implementation.
	MaxSeq = 1<<53 - 1
	// AuthTimeout is how long a connection may stay unauthenticated.
	AuthTimeout = 10 * time.Second
	// Heartbeat is the default time between two pings (settable).
	Heartbeat = 30 * time.Second
)

// Silence is how long an end waits for a byte before it calls the other one gone: one and a half
// heartbeats.
func Silence(heartbeat time.Duration) time.Duration { return heartbeat + heartbeat/2 }
