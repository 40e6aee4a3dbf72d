package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// gorillaConn is a connection with the lock that the library asks its users for: one writer at a
// time.
type gorillaConn struct {
	mu sync.Mutex
	c  *websocket.Conn
}

func (g *gorillaConn) send(f *websocket.PreparedMessage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.c.WritePreparedMessage(f) // the reader finds out
}

// serveGorilla is as the library's documents advise for many connections: small read buffers, write
// buffers from a pool, prepared messages, no compression, one goroutine for each connection.
func serveGorilla(ctx context.Context, heartbeat time.Duration) error {
	upgrader := websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}
	h := newHub[*websocket.PreparedMessage, *gorillaConn](prepare([]byte(`{"type":"ping"}`)), heartbeat)
	machines := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if id, ok := greetGorilla(c); ok {
			go readGorilla(id, c, h) // on a small stack: what came before needs a larger one
		} else {
			c.Close()
		}
	})
	return serve(ctx, "fleetline", machines, control{
		all:  func(data []byte) { h.all(prepare(dataFrame(data))) },
		one:  func(id string, data []byte) { h.one(id, prepare(dataFrame(data))) },
		live: h.live,
	})
}

func prepare(text []byte) *websocket.PreparedMessage {
	f, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err != nil {
		panic(err) // it cannot fail for a text
	}
	return f
}

func greetGorilla(c *websocket.Conn) (id string, ok bool) {
	_, text, err := c.ReadMessage()
	if err != nil {
		return "", false
	}
	id, answer, err := greet(text)
	return id, err == nil && c.WriteMessage(websocket.TextMessage, answer) == nil
}

func readGorilla(id string, c *websocket.Conn, h *hub[*websocket.PreparedMessage, *gorillaConn]) {
	g := &gorillaConn{c: c}
	h.enter(id, g)
	for {
		if _, _, err := c.NextReader(); err != nil { // a pong; what is left of it is skipped
			break
		}
	}
	c.Close()
	h.leave(id, g) // last: who counts the connections is told when nothing is left to do
}
