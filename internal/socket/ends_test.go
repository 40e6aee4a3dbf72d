package socket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var testPeer = socket.Peer{Addr: netip.MustParseAddr("192.0.2.7")}

// recorder is a handler that writes down what it hears. The func fields may be set before the first
// connection; they are called in the handler's goroutine.
type recorder struct {
	heard chan string
	ids   chan socket.ID
	// set orders what a test set before what a handler reads: the race detector does not see that
	// bytes went from one raw descriptor to another in between.
	set atomic.Bool

	onFrame   func(id socket.ID, payload []byte)
	onDrained func(id socket.ID)
	onClosed  func(id socket.ID, how socket.Closure)
}

func newRecorder() *recorder {
	return &recorder{heard: make(chan string, 1000), ids: make(chan socket.ID, 100_000)}
}

func (r *recorder) Opened(id socket.ID, peer socket.Peer) {
	r.set.Load()
	r.ids <- id
	r.note("opened " + peer.Addr.String())
}

func (r *recorder) Frame(id socket.ID, payload []byte) {
	if r.onFrame != nil {
		r.onFrame(id, payload)
		return
	}
	r.note(fmt.Sprintf("text %.40q", payload))
}

func (r *recorder) Binary(socket.ID) { r.note("binary") }

func (r *recorder) Drained(id socket.ID) {
	if r.onDrained != nil {
		r.onDrained(id)
		return
	}
	r.note("drained")
}

func (r *recorder) Closed(id socket.ID, how socket.Closure) {
	if r.onClosed != nil {
		r.onClosed(id, how)
		return
	}
	r.note(describe(how))
}

// note drops what nobody has room for: tests with many events count for themselves.
func (r *recorder) note(what string) {
	select {
	case r.heard <- what:
	default:
	}
}

func describe(how socket.Closure) string {
	by := "peer"
	if how.Local {
		by = "us"
	}
	return strings.TrimSpace(fmt.Sprintf("closed by %s: %d %s", by, how.Code, how.Reason))
}

func (r *recorder) next(t testing.TB) string {
	t.Helper()
	return receive(t, r.heard)
}

// expect wants to hear exactly this next.
func (r *recorder) expect(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := r.next(t); got != w {
			t.Fatalf("handler heard %q, want %q", got, w)
		}
	}
}

// opened takes the next connection and what was heard of its opening.
func (r *recorder) opened(t testing.TB) socket.ID {
	t.Helper()
	id := receive(t, r.ids)
	r.expect(t, "opened "+testPeer.Addr.String())
	return id
}

func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	patient, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case v := <-ch:
		return v
	case <-patient.Done():
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

// farEnd is a peer of either engine.
type farEnd interface {
	text(payload string) error
	binary(payload string) error
	sayClose(code uint16, reason string)
	drop()
	// read waits for the next frame, or for the end, which it describes.
	read(t testing.TB) string
}

// rawPeer is a peer on a connection, and may break every rule.
type rawPeer struct {
	net.Conn
	buffered *bufio.Reader
	parser   frame.Parser
	unread   []byte
	buf      [4096]byte

	mu sync.Mutex // of writes
}

func newRawPeer(nc net.Conn) *rawPeer { return &rawPeer{Conn: nc, buffered: bufio.NewReader(nc)} }

var testKey = [4]byte{0x12, 0x34, 0x56, 0x78}

func (p *rawPeer) write(op frame.Opcode, payload []byte) error {
	return p.writeRaw(frame.AppendMasked(nil, op, testKey, payload))
}

func (p *rawPeer) writeRaw(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.Conn.Write(b)
	return err
}

func (p *rawPeer) text(payload string) error   { return p.write(frame.OpText, []byte(payload)) }
func (p *rawPeer) binary(payload string) error { return p.write(frame.OpBinary, []byte(payload)) }
func (p *rawPeer) drop()                       { p.Conn.Close() }

func (p *rawPeer) sayClose(code uint16, reason string) {
	f := frame.AppendClose(nil, code, reason)
	_ = p.write(frame.OpClose, f[frame.HeaderLen(f):])
}

func (p *rawPeer) read(testing.TB) string {
	_ = p.Conn.SetReadDeadline(time.Now().Add(patience))
	rules := frame.Rules{Role: frame.Client, MaxMessage: 16 << 20}
	for {
		if len(p.unread) == 0 {
			n, err := p.buffered.Read(p.buf[:])
			if err != nil {
				return "end: " + ending(err)
			}
			p.unread = p.buf[:n]
		}
		ev, rest, err := p.parser.Next(&rules, p.unread)
		p.unread = rest
		switch {
		case err != nil:
			return "broken: " + err.Error()
		case ev.Op == frame.OpClose:
			code, reason, _ := frame.ParseClose(ev.Payload)
			return strings.TrimSpace(fmt.Sprintf("close %d %s", code, reason))
		case ev.Op == frame.OpPong:
			return "pong " + string(ev.Payload)
		case ev.Op != 0:
			return string(ev.Payload)
		}
	}
}

func ending(err error) string {
	if errors.Is(err, io.EOF) {
		return "EOF"
	}
	return err.Error()
}

// memoryPeer is a peer of the memory engine.
type memoryPeer struct{ *socket.MemoryPeer }

func (p memoryPeer) text(payload string) error           { return p.WriteText([]byte(payload)) }
func (p memoryPeer) binary(payload string) error         { return p.WriteBinary([]byte(payload)) }
func (p memoryPeer) sayClose(code uint16, reason string) { p.Close(code, reason) }
func (p memoryPeer) drop()                               { p.Drop() }

func (p memoryPeer) read(t testing.TB) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	payload, err := p.Read(ctx)
	closed := new(socket.CloseError)
	switch {
	case errors.As(err, &closed):
		return strings.TrimSpace(fmt.Sprintf("close %d %s", closed.Code, closed.Reason))
	case err != nil:
		t.Fatal("reading:", err)
	}
	return string(payload)
}

// rig is an engine and a way to reach it.
type rig struct {
	engine   socket.Engine
	recorder *recorder
	dial     func() farEnd
	secure   bool
}

// keepsPending tells whether the engine holds up to MaxPending bytes itself. The one of raw
// descriptors leaves that to the kernel.
func (b *rig) keepsPending() bool {
	switch b.engine.(type) {
	case *socket.Portable, *socket.Memory:
		return true
	}
	return b.secure
}

// open dials and waits until both ends know of each other.
func (b *rig) open(t testing.TB) (socket.ID, farEnd) {
	t.Helper()
	far := b.dial()
	return b.recorder.opened(t), far
}

func portable(t testing.TB, cfg socket.Config) *socket.Portable {
	t.Helper()
	e, err := socket.NewPortable(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// native is the engine that New makes on this system.
func native(t testing.TB, cfg socket.Config) door {
	t.Helper()
	e, err := socket.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// door is an engine that can stand behind net/http.
type door interface {
	socket.Engine
	socket.Upgrader
}

// server is an engine behind net/http.
func server(t testing.TB, e socket.Upgrader, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = e.Upgrade(w, r, testPeer)
	}))
	if d, ok := e.(direct); ok {
		_ = s.Listener.Close()
		s.Listener = d.receive(t, everybody)
	}
	start(s)
	t.Cleanup(s.Close)
	return s
}

// direct is an engine that receives connections itself where it can.
type direct struct{ door }

// everybody is let in.
var everybody = socket.Reception{
	Enter:    func(netip.Addr) (func(), bool) { return func() {}, true },
	Admit:    func(*http.Request) (socket.Peer, bool) { return testPeer, true },
	Patience: patience,
}

func (d direct) receive(t testing.TB, rules socket.Reception) net.Listener {
	t.Helper()
	l, err := socket.Listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e, ok := d.door.(socket.Receiver)
	if !ok {
		return l
	}
	if l, err = e.Receive(l, rules); err != nil {
		t.Fatal(err)
	}
	return l
}

const handshake = "GET / HTTP/1.1\r\nHost: fleet.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// shakeHands asks for a WebSocket on nc. What early holds is sent with the request.
func shakeHands(t testing.TB, nc net.Conn, early []byte) *rawPeer {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	if _, err := nc.Write(append([]byte(handshake), early...)); err != nil {
		t.Fatal("asking for a WebSocket:", err)
	}
	p := newRawPeer(nc)
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	answer, err := http.ReadResponse(p.buffered, nil)
	if err != nil {
		t.Fatal("reading the answer:", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake answered %s", answer.Status)
	}
	return p
}

func dialTCP(t testing.TB, s *httptest.Server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// A small window, so that a peer that stops reading is soon noticed.
	_ = nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	return nc
}

func dialTLS(t testing.TB, s *httptest.Server) net.Conn {
	t.Helper()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName = "example.com"
	return tls.Client(dialTCP(t, s), cfg)
}

func newRig(t testing.TB, kind string, cfg socket.Config) *rig {
	t.Helper()
	r := newRecorder()
	cfg.Handler = r
	if kind == "memory" {
		e := socket.NewMemory(cfg)
		t.Cleanup(e.Close)
		return &rig{engine: e, recorder: r, dial: func() farEnd { return memoryPeer{e.Dial(testPeer)} }}
	}
	if kind == "pipe" {
		e := portable(t, cfg)
		return &rig{engine: e, recorder: r, dial: func() farEnd { return dialPipe(t, e) }}
	}
	e := newDoor(t, kind, cfg)
	b := &rig{engine: e, recorder: r, secure: isSecure(kind)}
	s := server(t, e, starting(kind))
	b.dial = func() farEnd {
		r.set.Store(true)
		return shakeHands(t, dial(t, kind, s), nil)
	}
	return b
}

func isSecure(kind string) bool { return strings.HasSuffix(kind, "tls") }

// starting is how a server of the kind starts, and dial how it is reached.
func starting(kind string) func(*httptest.Server) {
	if isSecure(kind) {
		return (*httptest.Server).StartTLS
	}
	return (*httptest.Server).Start
}

func dial(t testing.TB, kind string, s *httptest.Server) net.Conn {
	if isSecure(kind) {
		return dialTLS(t, s)
	}
	return dialTCP(t, s)
}

func newDoor(t testing.TB, kind string, cfg socket.Config) door {
	switch {
	case kind == "direct":
		return direct{native(t, cfg)}
	case strings.HasPrefix(kind, "native"):
		return native(t, cfg)
	}
	return portable(t, cfg)
}

func dialPipe(t testing.TB, e *socket.Portable) *rawPeer {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	if err := e.Adopt(near, nil, testPeer); err != nil {
		t.Fatal(err)
	}
	return newRawPeer(far)
}

// everywhere runs a test on every kind of connection.
func everywhere(t *testing.T, cfg socket.Config, kinds []string, test func(t *testing.T, b *rig)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, newRig(t, kind, cfg)) })
	}
}

var (
	doors   = []string{"direct", "native", "native tls", "tcp", "tls"}
	sockets = append([]string{"pipe"}, doors...)
	engines = append([]string{"memory"}, sockets...)
)
