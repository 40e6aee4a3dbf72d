package fleetline

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/wire"
)

// gateway plays a script: each connection that comes is answered by the next act, and by the last
// one for ever. It lives in memory, so that it can live in a synctest bubble.
type gateway struct {
	t    testing.TB
	acts []http.HandlerFunc

	listener *pipeListener
	playing  sync.WaitGroup
	over     chan struct{} // closed when the test ends

	mu    sync.Mutex
	dials []time.Time
}

// Keys of what a script needs from its connection's context.
type (
	netConnKey struct{}
	overKey    struct{}
)

func play(t testing.TB, acts ...http.HandlerFunc) *gateway {
	g := &gateway{t: t, acts: acts, over: make(chan struct{}), listener: &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}}
	server := &http.Server{
		Handler: http.HandlerFunc(g.act),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(context.WithValue(ctx, netConnKey{}, c), overKey{}, g.over)
		},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(g.listener) }()
	t.Cleanup(func() {
		close(g.over)
		_ = server.Close()
		<-done
		g.playing.Wait()
	})
	return g
}

func (g *gateway) act(w http.ResponseWriter, r *http.Request) {
	g.playing.Add(1)
	defer g.playing.Done()
	g.mu.Lock()
	n := min(len(g.dials), len(g.acts)-1)
	g.dials = append(g.dials, time.Now())
	g.mu.Unlock()
	g.acts[n](w, r)
}

// dialed are the times at which connections came.
func (g *gateway) dialed() []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]time.Time(nil), g.dials...)
}

// connect returns a client that the gateway has let in.
func (g *gateway) connect(cfg Config) *Client {
	g.t.Helper()
	c, err := g.tryConnect(g.t.Context(), cfg)
	if err != nil {
		g.t.Fatalf("Connect: %v", err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (g *gateway) tryConnect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.APIKey == "" && cfg.KeyFunc == nil {
		cfg.APIKey = "flk_key"
	}
	cfg.DialContext = g.listener.dial
	return Connect(ctx, "ws://gateway.test", cfg)
}

// ws is an act that opens the WebSocket and plays script. When script returns, the line is cut.
func ws(script func(p *peer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		conn.SetReadLimit(wire.MaxUp)
		defer func() { _ = conn.CloseNow() }()
		raw, _ := r.Context().Value(netConnKey{}).(net.Conn)
		over, _ := r.Context().Value(overKey{}).(chan struct{})
		script(&peer{conn: conn, raw: raw, request: r, over: over})
	}
}

// page is an act that answers as a proxy does.
func page(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><body>machine_deleted</body></html>")
	}
}

// peer is the gateway's end of one connection.
type peer struct {
	conn    *websocket.Conn
	raw     net.Conn
	request *http.Request
	over    <-chan struct{}
}

// hear returns the next frame of the machine, nil when it has gone.
func (p *peer) hear() wire.Up {
	_, frame, err := p.conn.Read(context.Background())
	if err != nil {
		return nil
	}
	up, err := wire.ParseUp(frame)
	if err != nil {
		panic("the client sent a bad frame: " + err.Error())
	}
	return up
}

// hearAuth waits for the first frame.
func (p *peer) hearAuth() wire.Auth {
	auth, _ := p.hear().(wire.Auth)
	return auth
}

// stay listens until the machine goes, answers nothing, and returns what was heard.
func (p *peer) stay() (heard []wire.Up) {
	for {
		up := p.hear()
		if up == nil {
			return heard
		}
		heard = append(heard, up)
	}
}

// freeze does nothing, not even read, until the test ends.
func (p *peer) freeze() { <-p.over }

func (p *peer) send(frames ...wire.Down) {
	for _, f := range frames {
		p.sendText(string(wire.MustEncode(f)))
	}
}

func (p *peer) sendText(frame string) {
	_ = p.conn.Write(context.Background(), websocket.MessageText, []byte(frame))
}

// sendRaw writes bytes below the WebSocket.
func (p *peer) sendRaw(b []byte) { _, _ = p.raw.Write(b) }

func (p *peer) close(code wire.CloseCode, reason string) {
	_ = p.conn.Close(websocket.StatusCode(code), reason)
}

// letIn answers auth. Fields of w that are zero are filled in.
func (p *peer) letIn(w wire.Welcome) wire.Auth {
	auth := p.hearAuth()
	p.send(success(w))
	return auth
}

const testToken = "session-token"

func success(w wire.Welcome) wire.AuthSuccess {
	if w.MachineID == "" {
		w.MachineID = "mch_1"
	}
	if w.SessionID == "" {
		w.SessionID = "ses_1"
	}
	if w.HeartbeatSeconds == 0 {
		w.HeartbeatSeconds = 30
	}
	if w.ExpiresAt.IsZero() {
		w.ExpiresAt = time.Now().Add(15 * time.Minute)
	}
	if w.Epoch == "" {
		w.Epoch = "e1"
	}
	return wire.AuthSuccess{SessionToken: testToken, Message: wire.TextAuthenticated, Welcome: &w}
}

func message(seq uint64, data string) wire.Data {
	return wire.Data{Seq: seq, Data: json.RawMessage(data)}
}

// idle lets the machine in, pings, and stays until it goes.
func idle(p *peer) {
	p.letIn(wire.Welcome{Recovered: true})
	p.beat(30 * time.Second)
}

// beat pings until the machine goes, and returns what was heard.
func (p *peer) beat(heartbeat time.Duration) []wire.Up {
	gone, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-gone:
				return
			case <-time.After(heartbeat):
				p.send(wire.Ping{})
			}
		}
	}()
	heard := p.stay()
	close(gone)
	<-done
	return heard
}

// pipeListener accepts connections that never leave the process.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// diary keeps what OnStatus was told, and when.
type diary struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	Status
	at time.Time
}

func (d *diary) note(s Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry{s, time.Now()})
}

// of returns the entries of one phase.
func (d *diary) of(p Phase) (found []entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if e.Phase == p {
			found = append(found, e)
		}
	}
	return found
}

// take returns the next n messages' data.
func take(t testing.TB, c *Client, n int) (got []string) {
	t.Helper()
	for range n {
		msg, err := c.Next(t.Context())
		if err != nil {
			t.Fatalf("Next after %q: %v", got, err)
		}
		got = append(got, string(msg.Data))
	}
	return got
}

// withTimeout is the test's context, cut short.
func withTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// containsSecret tells whether a text shows a key or a token of these tests.
func containsSecret(text string) bool {
	return strings.Contains(text, "flk_") || strings.Contains(text, testToken)
}

// discardLog is for servers that complain of what a test does to them.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
