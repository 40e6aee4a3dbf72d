package fleetline

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// door answers as a gateway does: with its name, or by opening a WebSocket.
func door(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.WriteHeader(http.StatusUpgradeRequired)
			_, _ = io.WriteString(w, `{"name":"fleetline","protocol":1}`)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		if _, frame, err := conn.Read(r.Context()); err == nil {
			t.Errorf("a probe said %s", frame)
		}
	})
}

func TestAProbeFindsAGatewayAndSaysNothing(t *testing.T) {
	server := httptest.NewTLSServer(door(t))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	r, err := Probe(t.Context(), server.URL, Config{TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Named || r.TLS == nil || r.RemoteAddr != server.Listener.Addr().String() || r.Proxy != "" || r.Skew().Abs() > time.Minute {
		t.Errorf("the report is %+v", r)
	}
}

func TestAProbeSaysWhatAnswersInsteadOfAGateway(t *testing.T) {
	name := `{"name":"fleetline","protocol":1}`
	for title, c := range map[string]struct {
		plain, upgrade int
		body           string
		want           int
		named          bool
	}{
		"a web page":                  {200, 400, "<html>", 200, false},
		"a proxy without a gateway":   {502, 502, "<html>", 502, false},
		"no WebSocket goes through":   {426, 400, name, 400, true},
		"another server of WebSocket": {426, 403, "Upgrade Required", 403, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				w.WriteHeader(c.upgrade)
				return
			}
			w.WriteHeader(c.plain)
			_, _ = io.WriteString(w, c.body)
		}))
		r, err := Probe(t.Context(), server.URL, Config{})
		server.Close()
		page, ok := errors.AsType[*HTTPError](err)
		if !ok || page.Status != c.want || r.Named != c.named {
			t.Errorf("%s: got %v, named %v; want %d, %v", title, err, r.Named, c.want, c.named)
		}
	}
}

func TestAProbeAsksTheServersClockWhenItsCertificateIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Proxy-Secret") != "" {
			t.Error("a server that is not trusted was sent a header")
		}
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}))
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	defer server.Close()
	r, err := Probe(t.Context(), server.URL, Config{Header: http.Header{"X-Proxy-Secret": {"s"}}})
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("the error is %v", err)
	}
	if skew := r.Skew() - time.Hour; skew.Abs() > time.Minute {
		t.Errorf("this host is ahead by %v, want an hour", r.Skew())
	}
}
