// Package socket holds WebSocket connections by the hundred thousand behind one event-driven face.
//
// An Engine owns connections and calls a Handler when something happens to them; it is spoken to by
// connection ID, so nothing above it needs a goroutine, a buffer or a timer per connection. There
// are three engines: Epoll, over raw descriptors (Linux), Portable, over net.Conn (TLS in process,
// every system), and Memory, for tests and simulation. Frames are prepared once and shared by all
// their receivers.
//
// Engines speak RFC 6455: they reassemble fragments, check UTF-8, answer ping and close, and end
// broken connections with the code the RFC gives. They do not know what a frame means.
package socket

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// ID names one connection of an engine. The low half is the slot, reused after a close; the high
// half is the slot's generation, so a late call cannot reach the slot's next connection. Zero names
// no connection.
type ID uint64

// Slot is a number unique among the open connections of the engine.
func (id ID) Slot() uint32 { return uint32(id) }

// Prepared is one whole unmasked WebSocket text frame. It is shared and must not be changed.
type Prepared []byte

// Prepare makes the frame that carries payload.
func Prepare(payload []byte) Prepared { return frame.AppendText(nil, payload) }

// Payload is the text inside p.
func (p Prepared) Payload() []byte { return p[frame.HeaderLen(p):] }

// Peer is who is at the other end, as the door that accepted it found out.
type Peer struct {
	Addr netip.Addr
}

// Closure says how a connection ended.
type Closure struct {
	// Code and Reason are those of the close frame that was sent or received; 1006 when there was
	// none (RFC 6455 7.1.5).
	Code   uint16
	Reason string
	// Local tells that this end began the close.
	Local bool
}

// Handler hears what happens to connections. Opened comes first and Closed last, exactly once each,
// and Closed begins after every other call for that connection has returned. Frame calls for one
// connection come in order and never overlap; Drained may run beside Frame. No Engine method calls
// the handler before it returns, so a handler's locks may be held around Engine methods. A call must
// not wait for anything slow: an engine may have one goroutine call for many connections.
type Handler interface {
	Opened(id ID, peer Peer)
	// Frame brings one whole text message. The payload is valid only during the call.
	Frame(id ID, payload []byte)
	// Binary tells that the peer sent a binary message; its bytes are not kept.
	Binary(id ID)
	// Drained follows a Send that was not taken, once there is room again.
	Drained(id ID)
	Closed(id ID, how Closure)
}

// Engine is spoken to by connection ID. No method blocks. A call with an ID that is gone does
// nothing.
type Engine interface {
	// Send hands over one frame and tells whether the socket took it. If not, nothing of it was
	// taken, nothing is kept, and Drained will be called.
	Send(id ID, p Prepared) bool
	// SendMany hands over frames in order, in one write where it can, and returns how many were
	// taken. Fewer than all means that Drained will be called.
	SendMany(id ID, p []Prepared) int
	// End writes last (if not nil) and a close frame behind what was taken before, takes nothing
	// more, hands no further Frame to the handler, and closes the connection when the peer has
	// answered or after LingerTimeout. The first call wins.
	End(id ID, last Prepared, code uint16, reason string)
	// LastByte is when the last byte was received, or was taken by a peer that had fallen behind.
	LastByte(id ID) time.Time
	// Close ends every connection at once and waits until their Closed calls have returned.
	Close()
}

// Volley is an engine that hands frames to many connections at once.
type Volley interface {
	// SendAll does for each shot, in order, what SendMany does, and says in the shot how many frames
	// were taken.
	SendAll(shots []Shot)
}

// Shot is a burst for one connection.
type Shot struct {
	ID    ID
	Burst Burst
	Taken int // of its frames; set by SendAll
}

// SendAll hands frames to many connections, at once if the engine can.
func SendAll(e Engine, shots []Shot) {
	if v, ok := e.(Volley); ok {
		v.SendAll(shots)
		return
	}
	for i := range shots {
		shots[i].Taken = e.SendMany(shots[i].ID, shots[i].Burst.Frames)
	}
}

// Upgrader is an engine that takes connections over from net/http. It answers a request that is no
// proper WebSocket handshake itself (RFC 6455 4.2) and returns why.
type Upgrader interface {
	Upgrade(w http.ResponseWriter, r *http.Request, peer Peer) error
}

// Receiver is an engine that takes connections from the port itself, before net/http.
type Receiver interface {
	// Receive returns a listener to give to net/http in place of l, which must be one of Listen's. Its
	// Accept lets those in whose handshake leaves no doubt, and returns all others with what was read
	// of them: net/http answers whatever is not plain, and Upgrade takes what comes of it. Accept is
	// for one goroutine.
	Receive(l net.Listener, r Reception) (net.Listener, error)
}

// Reception is what a Receiver is told by the door. All of it is required.
type Reception struct {
	// Enter takes a place for a connection that has said nothing yet, until leave is called. The
	// connection is closed if there is none.
	Enter func(netip.Addr) (leave func(), ok bool)
	// Admit tells who asks for a WebSocket; ok is false if net/http is to answer the request, whatever
	// the answer will be. The request is good for the call.
	Admit func(*http.Request) (peer Peer, ok bool)
	// Patience is how long a connection may say nothing.
	Patience time.Duration
}

// LingerTimeout bounds how long End waits for a peer to take the last frames and answer the close.
const LingerTimeout = 5 * time.Second
