package bench

import (
	"context"
	"time"
)

// server is what is measured: the gateway, or a peer.
type server interface {
	// start starts it; stop its process when it is no longer needed.
	start(ctx context.Context, heartbeat time.Duration) error
	process() *child
	// settle makes it give all memory that it can do without back to the system.
	settle(ctx context.Context) error
	// publish sends data to all machines, or to the one with this id.
	publish(ctx context.Context, machine string, data []byte, mode mode) error
	// sessions is how many it has now.
	sessions(ctx context.Context) (int, error)
}

// mode is whether a message is stored.
type mode string

const (
	stored   mode = "stored"
	liveOnly mode = "live"
)
