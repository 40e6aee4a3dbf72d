package fleetline

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestOverTLSAndTCPMessagesCome(t *testing.T) {
	const n = 5000
	data := `"` + strings.Repeat("x", 1000) + `"` // together more than sockets and queue hold
	server := httptest.NewTLSServer(ws(func(p *peer) {
		p.letIn(wire.Welcome{})
		flood(p, n, data)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := Connect(t.Context(), server.URL, Config{APIKey: "flk_key", TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for want := range uint64(n) {
		msg, err := c.Next(t.Context())
		if err != nil || msg.Position.Seq != want+1 || string(msg.Data) != data {
			t.Fatalf("got %v with %d bytes, %v, want %d", msg.Position, len(msg.Data), err, want+1)
		}
	}
}

func TestACertificateThatIsNotTrustedGetsNoKey(t *testing.T) {
	var reached bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	defer server.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := Connect(ctx, server.URL, Config{APIKey: "flk_key", OnStatus: func(s Status) {
		if s.Phase == Waiting {
			cancel(enough)
		}
	}})
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !errors.Is(err, enough) || reached {
		t.Errorf("Connect = %v, reached %v", err, reached)
	}
}

func TestAPortThatIsNotOpenIsWaitedFor(t *testing.T) {
	server := httptest.NewServer(ws(idle))
	addr := server.Listener.Addr().String()
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, addr, Config{APIKey: "flk_key"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Connect = %v", err)
	}
}

func BenchmarkDeliver(b *testing.B) {
	b.ReportAllocs()
	in := newInbox(Position{Epoch: "e1"})
	data := []byte(`{"load1":0.42,"memUsedBytes":123456789,"rxBytes":1234,"txBytes":5678}`)
	var frame []byte
	for seq := uint64(1); b.Loop(); seq++ {
		frame = wire.AppendData(frame[:0], seq, "", data)
		down, err := wire.ParseDown(frame)
		if err != nil || !in.put(down.(wire.Data)) {
			b.Fatal("not taken")
		}
		in.take()
		in.done()
	}
}
