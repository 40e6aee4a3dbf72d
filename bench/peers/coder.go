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
		if err != nil {
			return
		}
		if id, ok := greetCoder(c); ok {
			go readCoder(id, c, h) // on a small stack: what came before needs a larger one
		} else {
			c.CloseNow()
		}
	})
	return serve(ctx, "fleetline", machines, control{
		all:  func(data []byte) { h.all(dataFrame(data)) },
		one:  func(id string, data []byte) { h.one(id, dataFrame(data)) },
		live: h.live,
	})
}

func greetCoder(c *websocket.Conn) (id string, ok bool) {
	_, text, err := c.Read(context.Background()) // the bench ends connections
	if err != nil {
		return "", false
	}
	id, answer, err := greet(text)
	return id, err == nil && c.Write(context.Background(), websocket.MessageText, answer) == nil
}

func readCoder(id string, c *websocket.Conn, h *hub[[]byte, *coderConn]) {
	g := &coderConn{c}
	h.enter(id, g)
	var pong [64]byte
	for {
		_, r, err := c.Reader(context.Background())
		for err == nil {
			_, err = r.Read(pong[:]) // to its end, without a buffer for each
		}
		if r == nil {
			break
		}
	}
	c.CloseNow()
	h.leave(id, g) // last: who counts the connections is told when nothing is left to do
}
