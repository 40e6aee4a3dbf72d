package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// gateway is a listener whose every request waits for the script to answer it.
type gateway struct {
	st       *stage
	listener net.Listener
	server   *http.Server
	calls    chan *call
	over     chan struct{}
	serving  sync.WaitGroup // the server, the handlers and the readers of lines
}

// call is one request that nobody has answered yet.
type call struct {
	gateway *gateway
	w       http.ResponseWriter
	r       *http.Request
	raw     net.Conn
	at      time.Time
	done    chan struct{}
}

type rawConn struct{}

func listen(st *stage) (*gateway, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{st: st, listener: l, calls: make(chan *call, 64), over: make(chan struct{})}
	g.server = &http.Server{
		Handler:     g,
		ErrorLog:    log.New(io.Discard, "", 0), // cut connections are the point
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, rawConn{}, c) },
	}
	g.serving.Go(func() { _ = g.server.Serve(l) }) // ends with close
	return g, nil
}

func (g *gateway) url() string { return "ws://" + g.listener.Addr().String() }

// ServeHTTP hands the request to the script and stays until it is answered.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serving.Add(1)
	defer g.serving.Done()
	raw, _ := r.Context().Value(rawConn{}).(net.Conn)
	c := &call{gateway: g, w: w, r: r, raw: raw, at: time.Now(), done: make(chan struct{})}
	select {
	case g.calls <- c:
	case <-g.over:
		return
	}
	select {
	case <-c.done:
	case <-g.over:
	}
}

// next waits for a request; nil: none came.
func (g *gateway) next(within time.Duration) *call {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case c := <-g.calls:
		return c
	case <-timer.C:
	case <-g.st.ctx.Done():
	}
	return nil
}

// checkRequest looks for what must not travel outside the first frame.
func (g *gateway) checkRequest(c *call) {
	st := g.st
	st.check(c.r.URL.Path == "/" || c.r.URL.Path == "/ws", "the path is %q, want / or /ws", c.r.URL.Path)
	var head strings.Builder
	head.WriteString(c.r.RequestURI + "\n")
	_ = c.r.Header.Write(&head)
	for _, secret := range st.secrets {
		st.check(!strings.Contains(head.String(), secret), "a key or a token is in the URL or in a header")
	}
	st.check(len(c.r.Cookies()) == 0, "the request carries cookies")
}

func (g *gateway) close() {
	close(g.over)
	_ = g.server.Close()
	g.serving.Wait()
}

// page answers as a proxy does.
func (c *call) page(status int, header ...string) {
	c.w.Header().Set("Content-Type", "text/html")
	c.w.Header().Set("Connection", "close")
	for i := 0; i+1 < len(header); i += 2 {
		c.w.Header().Set(header[i], header[i+1])
	}
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, "<html><body>machine_deleted</body></html>")
	close(c.done)
}

// upgrade opens the WebSocket.
func (c *call) upgrade() *line {
	st := c.gateway.st
	conn, err := websocket.Accept(c.w, c.r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	st.check(err == nil, "the request is no WebSocket handshake: %v", err)
	conn.SetReadLimit(maxUp)
	l := &line{st: st, conn: conn, raw: c.raw, heard: make(chan heard, 4096), gone: make(chan struct{})}
	c.gateway.serving.Go(func() { // ends when the line does, at the latest with the stage
		l.read()
		close(c.done)
	})
	c.gateway.serving.Go(func() { // ends likewise
		select {
		case <-c.gateway.over:
			_ = conn.CloseNow()
		case <-l.gone:
		}
	})
	return l
}

// isClose tells whether the machine said goodbye by a close frame.
func isClose(err error) bool {
	_, ok := errors.AsType[websocket.CloseError](err)
	return ok
}
