package bench

import (
	"context"
	"fmt"
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
	// request is the same as the text of an HTTP request.
	request(machine string, data []byte, mode mode) []byte
	// sessions is how many it has now.
	sessions(ctx context.Context) (int, error)
}

// mode is whether a message is stored.
type mode string

const (
	stored   mode = "stored"
	liveOnly mode = "live"
)

// postText is a request with a JSON body; headers are whole lines.
func postText(addr, path string, body []byte, headers string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		path, addr, len(body), headers, body)
}
