package socket_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// road is a server that is reached over TCP, and what its engine heard.
type road struct {
	server   *httptest.Server
	recorder *recorder
	asked    atomic.Int32 // requests that net/http answered
}

// newRoad makes a door as the gateway's is: WebSockets on two paths, and something else on a third.
func newRoad(t testing.TB, kind string) *road {
	w := &road{recorder: newRecorder()}
	e := newDoor(t, kind, socket.Config{Handler: w.recorder, Subprotocols: []string{"fleet.1"}})
	mux := http.NewServeMux()
	upgrade := func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		_ = e.Upgrade(rw, r, testPeer)
	}
	mux.HandleFunc("GET /{$}", upgrade)
	mux.HandleFunc("GET /ws", upgrade)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		w.asked.Add(1)
		_, _ = io.WriteString(rw, "ok")
	})
	w.server = httptest.NewUnstartedServer(mux)
	if d, ok := e.(direct); ok {
		_ = w.server.Listener.Close()
		rules := everybody
		rules.Admit = func(r *http.Request) (socket.Peer, bool) {
			return testPeer, r.RequestURI == "/" || r.RequestURI == "/ws"
		}
		w.server.Listener = d.receive(t, rules)
	}
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// say sends data and then the end, and returns all that is answered. Whole is false if the connection
// was reset, which may lose a part.
func (w *road) say(t testing.TB, data []byte) (answer string, heard []string, whole bool) {
	t.Helper()
	nc := dialTCP(t, w.server)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, _ = nc.Write(data) // whoever is closed on meanwhile reads so
	_ = nc.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(nc)
	answer = date.ReplaceAllString(string(all), "")
	if strings.Contains(answer, "HTTP/1.1 101 ") {
		for len(heard) == 0 || !strings.HasPrefix(heard[len(heard)-1], "closed") {
			heard = append(heard, w.recorder.next(t))
		}
	}
	return answer, heard, err == nil
}

// sameRoad says the same on both roads and compares what comes of it.
func sameRoad(t *testing.T, direct, plain *road, data []byte) (answer string) {
	t.Helper()
	got, heard, whole := direct.say(t, data)
	want, wanted, wantedWhole := plain.say(t, data)
	if !whole || !wantedWhole {
		n := min(len(got), len(want))
		got, want = got[:n], want[:n]
	}
	if got != want {
		t.Errorf("%q\nis answered %q,\nby net/http %q", data, got, want)
	}
	if a, b := strings.Join(heard, "\n"), strings.Join(wanted, "\n"); a != b {
		t.Errorf("%q\nmakes the handler hear\n%s\nby net/http\n%s", data, a, b)
	}
	return got
}

// doubts are requests that look like handshakes, and what the first line of their answer begins with.
func doubts() map[string]string {
	with := func(old, new string) string { return strings.Replace(handshake, old, new, 1) }
	header := func(line string) string { return with("\r\n\r\n", "\r\n"+line+"\r\n\r\n") }
	return map[string]string{
		"":                                                     "",
		"\x16\x03\x01\x02\x00":                                 "HTTP/1.1 400",
		handshake[:40]:                                         "HTTP/1.1 400",
		"GET / HTTP/1.1\r\n\r\n":                               "HTTP/1.1 400 Bad Request: missing required Host header",
		with("GET", "POST"):                                    "HTTP/1.1 405",
		with("GET", "HEAD"):                                    "HTTP/1.1 405",
		with("HTTP/1.1", "HTTP/1.0"):                           "HTTP/1.0 426",
		with("HTTP/1.1", "HTTP/2.0"):                           "HTTP/1.1 505",
		with("GET /", "GET /healthz"):                          "HTTP/1.1 200",
		with("GET /", "GET /nothing"):                          "HTTP/1.1 404",
		with("GET /", "GET //"):                                "HTTP/1.1 307",
		with("GET /", "GET /?x"):                               "HTTP/1.1 101",
		with("GET / ", "GET  / "):                              "HTTP/1.1 400",
		with("GET /", "GET http://other.test/"):                "HTTP/1.1 101",
		with("fleet.test", "fleet test"):                       "HTTP/1.1 400",
		with("fleet.test", ""):                                 "HTTP/1.1 101",
		with("websocket", "h2c"):                               "HTTP/1.1 426",
		with("keep-alive, Upgrade", "close"):                   "HTTP/1.1 426",
		with("13", "8"):                                        "HTTP/1.1 426",
		with("dGhlIHNhbXBsZSBub25jZQ==", "short"):              "HTTP/1.1 400",
		header("Host: other.test"):                             "HTTP/1.1 400",
		with("Host: ", "Host:\r\nHost: "):                      "HTTP/1.1 400",
		header("host: other.test"):                             "HTTP/1.1 400",
		with("Upgrade: ", "uPGRADE:\t "):                       "HTTP/1.1 101",
		with("Sec-WebSocket-Key", "sec-websocket-key"):         "HTTP/1.1 101",
		header("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="):  "HTTP/1.1 400",
		header("Upgrade: h2c"):                                 "HTTP/1.1 101",
		header("Upgrade"):                                      "HTTP/1.1 400",
		header("Sec-WebSocket-Protocol: fleet.1\r\nX: a"):      "HTTP/1.1 101",
		header("Host : other.test"):                            "HTTP/1.1 400",
		header("Content-Length: 5"):                            "HTTP/1.1 400",
		header("Content-Length: 0"):                            "HTTP/1.1 101",
		header("Transfer-Encoding: chunked"):                   "HTTP/1.1 400",
		header("Expect: 100-continue"):                         "HTTP/1.1 101",
		header("Expect: more"):                                 "HTTP/1.1 417",
		header("X: a\r\n b"):                                   "HTTP/1.1 101",
		header("X: a\x00b"):                                    "HTTP/1.1 400",
		header("X: a\x7fb"):                                    "HTTP/1.1 400",
		header("X: \xff\xfe"):                                  "HTTP/1.1 101",
		header("X~y: a"):                                       "HTTP/1.1 101",
		header("X y: a"):                                       "HTTP/1.1 400",
		header(": a"):                                          "HTTP/1.1 400",
		header("X: " + strings.Repeat("x", 9<<10)):             "HTTP/1.1 101",
		header("X: " + strings.Repeat("x", 2<<20)):             "HTTP/1.1 431",
		strings.ReplaceAll(handshake, "\r\n", "\n"):            "HTTP/1.1 101",
		with("\r\n", "\n"):                                     "HTTP/1.1 101",
		header("Sec-WebSocket-Protocol: other, fleet.1"):       "HTTP/1.1 101",
		"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + handshake: "HTTP/1.1 200",
		handshake + string(masked(0x81, "early")):              "HTTP/1.1 101",
		handshake + string(masked(0x83, "bad opcode")):         "HTTP/1.1 101",
		handshake + string(stream(masked(0x89, "p"), masked(0x81, big(20_000)))): "HTTP/1.1 101",
	}
}

func TestWhatIsInDoubtIsAnsweredByNetHTTPAsEver(t *testing.T) {
	direct, plain := newRoad(t, "direct"), newRoad(t, "native")
	for data, want := range doubts() {
		if got := sameRoad(t, direct, plain, []byte(data)); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%.200q\nis answered %.100q, want %q", data, got, want)
		}
	}
}

// FuzzBothRoadsAnswerTheSame holds the road that reads handshakes itself against net/http.
func FuzzBothRoadsAnswerTheSame(f *testing.F) {
	f.Add([]byte(handshake))
	for data := range doubts() {
		if len(data) < 2<<10 {
			f.Add([]byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		sameRoad(t, newRoad(t, "direct"), newRoad(t, "native"), data)
	})
}

func TestAPlainHandshakeDoesNotReachNetHTTP(t *testing.T) {
	w := newRoad(t, "direct")
	for _, path := range []string{"/", "/ws"} {
		answer, _, _ := w.say(t, []byte(strings.Replace(handshake, "/", path, 1)))
		if !strings.HasPrefix(answer, "HTTP/1.1 101 ") {
			t.Errorf("on %s it is answered %q", path, answer)
		}
	}
	if n := w.asked.Load(); n != 0 {
		t.Errorf("net/http answered %d of 2 plain handshakes", n)
	}
}

func TestAHandshakeThatComesInPiecesIsTakenByNetHTTP(t *testing.T) {
	w := newRoad(t, "direct")
	nc := dialTCP(t, w.server)
	defer nc.Close()
	peer := newRawPeer(nc)
	for i := range len(handshake) {
		if _, err := io.WriteString(nc, handshake[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.ReadResponse(peer.buffered, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal("a slow handshake:", answer, err)
	}
	id := w.recorder.opened(t)
	if err := peer.text("hello"); err != nil {
		t.Fatal(err)
	}
	w.recorder.expect(t, `text "hello"`)
	if id.Slot() >= 1<<31 {
		t.Error("it is not held by its descriptor")
	}
}

// guests counts who is inside, of whom there is room for some.
type guests struct {
	room   int32
	inside atomic.Int32
}

func (g *guests) enter(netip.Addr) (leave func(), ok bool) {
	if g.inside.Add(1) > g.room {
		g.inside.Add(-1)
		return nil, false
	}
	return sync.OnceFunc(func() { g.inside.Add(-1) }), true
}

func (g *guests) await(t *testing.T, n int32) {
	t.Helper()
	for began := time.Now(); g.inside.Load() != n; runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatalf("%d are inside, want %d", g.inside.Load(), n)
		}
	}
}

// newReception is a port with rules, served by net/http as the gateway's is.
func newReception(t *testing.T, cfg socket.Config, rules socket.Reception) (l net.Listener, r *recorder, stop func()) {
	r = newRecorder()
	cfg.Handler = r
	d := direct{native(t, cfg)}
	l = d.receive(t, rules)
	s := &http.Server{Handler: http.NotFoundHandler()}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		_ = s.Close()
		serving.Wait()
	})
	t.Cleanup(stop)
	return l, r, stop
}

func dialPort(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

func isClosed(t *testing.T, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v, want a closed connection", n, err)
	}
}

func TestWhoSaysNothingIsDismissedWhenPatienceEnds(t *testing.T) {
	g := &guests{room: 100}
	rules := everybody
	rules.Enter, rules.Patience = g.enter, 300*time.Millisecond
	l, r, _ := newReception(t, socket.Config{}, rules)
	began := time.Now()
	var silent []net.Conn
	for range 5 {
		silent = append(silent, dialPort(t, l))
	}
	shakeHands(t, dialPort(t, l), nil)
	r.opened(t)
	for _, nc := range silent {
		isClosed(t, nc)
	}
	if took := time.Since(began); took < rules.Patience {
		t.Errorf("they were dismissed after %v", took)
	}
	g.await(t, 0)
	shakeHands(t, dialPort(t, l), nil) // the door is still open
	r.opened(t)
	isClosed(t, dialPort(t, l)) // and its patience still ends
}

func TestOneTooManyIsClosedAndTheOthersAreHeard(t *testing.T) {
	g := &guests{room: 2}
	rules := everybody
	rules.Enter = g.enter
	l, r, _ := newReception(t, socket.Config{}, rules)
	first, second := dialPort(t, l), dialPort(t, l)
	g.await(t, 2)
	isClosed(t, dialPort(t, l))
	shakeHands(t, first, nil)
	r.opened(t)
	g.await(t, 1)
	shakeHands(t, dialPort(t, l), nil)
	r.opened(t)
	if _, err := io.WriteString(second, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("HTTP/1.1 404"))
	if _, err := io.ReadFull(second, answer); err != nil || string(answer) != "HTTP/1.1 404" {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestAClosedPortDismissesWhoSaidNothingAndLeavesWhoIsIn(t *testing.T) {
	g := &guests{room: 100}
	rules := everybody
	rules.Enter = g.enter
	l, r, stop := newReception(t, socket.Config{}, rules)
	silent := dialPort(t, l)
	peer := shakeHands(t, dialPort(t, l), nil)
	r.opened(t)
	g.await(t, 1)
	stop()
	isClosed(t, silent)
	g.await(t, 0)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting when it is closed: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
	if err := peer.text("still here"); err != nil {
		t.Fatal(err)
	}
	r.expect(t, `text "still here"`)
}

func TestAnEngineThatIsClosedLeavesTheAnswerToNetHTTP(t *testing.T) {
	r := newRecorder()
	d := direct{native(t, socket.Config{Handler: r})}
	s := server(t, d, (*httptest.Server).Start)
	d.Close()
	nc := dialTCP(t, s)
	defer nc.Close()
	if _, err := io.WriteString(nc, handshake); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	answer, err := http.ReadResponse(newRawPeer(nc).buffered, nil)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %v, %v", answer, err)
	}
}
