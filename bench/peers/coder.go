package main

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

type coderConn struct{ c *websocket.Conn }

func (g *coderConn) send(f []byte) {
	_ = g.c.Write(context.Background(), websocket.MessageText, f) // the reader finds out
}

// serveCoder is as the library's documents advise: no compression, messages encoded once. It has no
// prepared messages and no say in its buffers.
func serveCoder(ctx context.Context, heartbeat time.Duration) error {
	h := newHub[[]byte, *coderConn]([]byte(`{"type":"ping"}`), heartbeat)
	machines := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err == nil {
			go readCoder(c, h) // so that the stack of net/http can go
		}
	})
	return serve(ctx, "fleetline", machines, control{
		all:  func(data []byte) { h.all(dataFrame(data)) },
		one:  func(id string, data []byte) { h.one(id, dataFrame(data)) },
		live: h.live,
	})
}

func readCoder(c *websocket.Conn, h *hub[[]byte, *coderConn]) {
	defer c.CloseNow()
	ctx := context.Background() // the bench ends connections
	_, text, err := c.Read(ctx)
	if err != nil {
		return
	}
	id, answer, err := greet(text)
	if err != nil || c.Write(ctx, websocket.MessageText, answer) != nil {
		return
	}
	g := &coderConn{c}
	h.enter(id, g)
	defer h.leave(id, g)
	var pong [64]byte
	for {
		_, r, err := c.Reader(ctx)
		for err == nil {
			_, err = r.Read(pong[:]) // to its end, without a buffer for each
		}
		if r == nil {
			return
		}
	}
}
