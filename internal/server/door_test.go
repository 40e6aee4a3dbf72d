package server_test

import (
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/fleetlinetest"
)

const plainHandshake = "GET / HTTP/1.1\r\nHost: fleet.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

// answerOf says text and then the end, and returns what is answered.
func answerOf(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return dateLine.ReplaceAllString(string(all), "")
}

// The port lets plain handshakes in by itself and has net/http answer the rest. Behind net/http alone
// the same rules must give the same answers.
func TestThePortAnswersAsNetHTTPAloneDoes(t *testing.T) {
	g := fleetlinetest.Start(t)
	alone := httptest.NewServer(g.Server().Gateway().Handler())
	defer alone.Close()
	with := func(old, new string) string { return strings.Replace(plainHandshake, old, new, 1) }
	for text, want := range map[string]string{
		plainHandshake:                     "HTTP/1.1 101",
		with("GET /", "GET /ws"):           "HTTP/1.1 101",
		with("GET /", "GET /other"):        "HTTP/1.1 404",
		with("GET /", "POST /"):            "HTTP/1.1 405",
		with("Upgrade: websocket\r\n", ""): "HTTP/1.1 426",
		with("Upgrade: websocket\r\n", "Upgrade: websocket\r\n"+"Origin: http://evil.test\r\n"):  "HTTP/1.1 403",
		with("Upgrade: websocket\r\n", "Upgrade: websocket\r\n"+"Origin: http://fleet.test\r\n"): "HTTP/1.1 101",
		with("Version: 13", "Version: 12"):                  "HTTP/1.1 426",
		"GET / HTTP/1.1\r\nHost: fleet.test\r\n\r\n":        "HTTP/1.1 426",
		"GET /healthz HTTP/1.1\r\nHost: fleet.test\r\n\r\n": "HTTP/1.1 200",
		"GET /healthz HTTP/1.0\r\n\r\n":                     "HTTP/1.0 200",
		"rubbish\r\n\r\n":                                   "HTTP/1.1 400",
	} {
		got, plain := answerOf(t, addrOf(g.URL), text), answerOf(t, addrOf(alone.URL), text)
		if got != plain || !strings.HasPrefix(got, want) {
			t.Errorf("%q\nis answered %q,\nby net/http %q, want %s", text, got, plain, want)
		}
	}
}

func addrOf(url string) string {
	_, addr, _ := strings.Cut(url, "://")
	return addr
}
