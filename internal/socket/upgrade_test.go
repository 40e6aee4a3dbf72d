package socket_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

func request(change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	change(r)
	return r
}

func TestAnImproperHandshakeIsAnsweredWithWhatItLacks(t *testing.T) {
	e := native(t, socket.Config{Handler: newRecorder()})
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"POST":           {func(r *http.Request) { r.Method = http.MethodPost }, 405},
		"HTTP/1.0":       {func(r *http.Request) { r.ProtoMinor = 0 }, 426},
		"HTTP/2":         {func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, 426},
		"no upgrade":     {func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		"other upgrade":  {set("Upgrade", "h2c"), 426},
		"no connection":  {func(r *http.Request) { r.Header.Del("Connection") }, 426},
		"connection":     {set("Connection", "keep-alive"), 426},
		"no version":     {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Version") }, 426},
		"old version":    {set("Sec-WebSocket-Version", "8"), 426},
		"no key":         {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		"two keys":       {func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") }, 400},
		"short key":      {set("Sec-WebSocket-Key", "c2hvcnQ="), 400},
		"key not base64": {set("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="), 400},
		"body":           {func(r *http.Request) { r.ContentLength = 5 }, 400},
		"no hijacker":    {func(*http.Request) {}, 500},
	} {
		answer := httptest.NewRecorder()
		err := e.Upgrade(answer, request(c.change), testPeer)
		why := new(socket.HandshakeError)
		if !errors.As(err, &why) || why.Status != c.status || answer.Code != c.status {
			t.Errorf("%s: error %v, answered %d, want %d", name, err, answer.Code, c.status)
		}
		if got := answer.Header().Get("Sec-WebSocket-Version"); got != "13" {
			t.Errorf("%s: Sec-WebSocket-Version %q, want 13", name, got)
		}
		if c.status == 426 && !strings.EqualFold(answer.Header().Get("Upgrade"), "websocket") {
			t.Errorf("%s: answered 426 without Upgrade", name)
		}
	}
}

func TestAClosedEngineRefusesHandshakesAndConnections(t *testing.T) {
	e := portable(t, socket.Config{Handler: newRecorder()})
	e.Close()
	answer := httptest.NewRecorder()
	if err := e.Upgrade(answer, request(func(*http.Request) {}), testPeer); err == nil || answer.Code != 503 {
		t.Errorf("error %v, answered %d, want 503", err, answer.Code)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := e.Adopt(near, nil, testPeer); !errors.Is(err, socket.ErrClosed) {
		t.Errorf("adopting: error %v, want %v", err, socket.ErrClosed)
	}
}

// ask sends a handshake with one more header and returns the answer.
func ask(t *testing.T, s *httptest.Server, header string) *http.Response {
	t.Helper()
	nc := dialTCP(t, s)
	defer nc.Close()
	if _, err := io.WriteString(nc, strings.Replace(handshake, "\r\n\r\n", "\r\n"+header+"\r\n", 1)); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	answer, err := http.ReadResponse(newRawPeer(nc).buffered, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestTheAnswerProvesThatTheKeyWasRead(t *testing.T) {
	s := server(t, native(t, socket.Config{Handler: newRecorder()}), (*httptest.Server).Start)
	answer := ask(t, s, "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n")
	// The key and the answer are those of the example in RFC 6455 1.3.
	if got, want := answer.Header.Get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Errorf("Sec-WebSocket-Accept %q, want %q", got, want)
	}
	for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
		if got := answer.Header.Get(name); got != "" {
			t.Errorf("%s: %q, want none", name, got)
		}
	}
}

func TestASubprotocolIsAgreedOnWhenBothSpeakIt(t *testing.T) {
	cfg := socket.Config{Handler: newRecorder(), Subprotocols: []string{"fleet.2", "fleet.1"}}
	s := server(t, native(t, cfg), (*httptest.Server).Start)
	for asked, want := range map[string]string{
		"": "", "Sec-WebSocket-Protocol: chat\r\n": "", "Sec-WebSocket-Protocol: fleet.1\r\n": "fleet.1",
		"Sec-WebSocket-Protocol: chat, fleet.1\r\nSec-WebSocket-Protocol: fleet.2\r\n": "fleet.2",
	} {
		if got := ask(t, s, asked).Header.Get("Sec-WebSocket-Protocol"); got != want {
			t.Errorf("asked with %q: got %q, want %q", asked, got, want)
		}
	}
}

func TestBytesSentWithTheHandshakeAreNotLost(t *testing.T) {
	for _, kind := range doors {
		t.Run(kind, func(t *testing.T) {
			r := newRecorder()
			e := newDoor(t, kind, socket.Config{Handler: r})
			early := stream(masked(0x81, "one"), masked(0x81, "two"), masked(0x01, "thr"), masked(0x80, "ee")[:3])
			rest := masked(0x80, "ee")[3:]
			p := shakeHands(t, dial(t, kind, server(t, e, starting(kind))), early)
			r.opened(t)
			r.expect(t, `text "one"`, `text "two"`)
			if err := p.writeRaw(rest); err != nil {
				t.Fatal(err)
			}
			r.expect(t, `text "three"`)
		})
	}
}

// pipes is a listener in memory, so that net/http runs in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func TestTheDeadlinesOfTheHTTPServerEndWithTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		e := portable(t, socket.Config{Handler: r})
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s := &http.Server{
			ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = e.Upgrade(w, r, testPeer) }),
		}
		var serving sync.WaitGroup
		serving.Go(func() { _ = s.Serve(l) })
		defer serving.Wait()
		defer s.Close()

		near, far := net.Pipe()
		defer far.Close()
		l.conns <- near
		p := newRawPeer(far)
		for i := range handshake { // a slow peer: one byte every 10 ms
			time.Sleep(10 * time.Millisecond)
			if _, err := io.WriteString(far, handshake[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if answer, err := http.ReadResponse(p.buffered, nil); err != nil || answer.StatusCode != 101 {
			t.Fatal("slow handshake:", answer, err)
		}
		id := r.opened(t)
		time.Sleep(time.Hour)
		if err := p.text("still here"); err != nil {
			t.Fatal(err)
		}
		r.expect(t, `text "still here"`)
		e.Send(id, prepare("so are we"))
		if got := p.read(t); got != "so are we" {
			t.Errorf("peer read %q", got)
		}
	})
}
