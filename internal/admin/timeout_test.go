package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
)

// oneConn is a listener with a single connection, in memory.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l oneConn) Close() error   { close(l.closed); return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5001} }

type someMachines struct {
	directory.Machines
	directory.MachineAdmin
}

// inMemory is the caller's end of a connection to a door whose directory and log are never asked,
// and a channel that tells when the door closed it.
func inMemory(t *testing.T) (net.Conn, chan time.Time) {
	t.Helper()
	a, err := New(Config{
		Token: testToken, Accounts: struct{ directory.Accounts }{}, AccountAdmin: failing{}, Machines: someMachines{}, MachineAdmin: someMachines{},
		Publisher: away{}, Tokens: new(broker.Shelf), Events: new(broker.Events), Onlooker: new(broker.Broker), Counts: func() Counts { return Counts{} },
		Backup: func(context.Context, io.Writer) error { return nil }, Look: func(string, string) api.Why { return api.Why{} },
		Online: func(string) int { return 0 }, OnlineIDs: func() []string { return nil }, Ready: func() []string { return nil },
		Deletions: Deletions{
			List:    func() []api.HeldDeletion { return nil },
			Confirm: func(context.Context, func(string) bool) api.ConfirmedDeletions { return api.ConfirmedDeletions{} },
		},
		Directory: func() api.DirectoryHealth { return api.DirectoryHealth{} },
		Metrics:   http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := a.Server()
	closed := make(chan time.Time, 1)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- time.Now()
		}
	}
	here, there := net.Pipe()
	l := oneConn{make(chan net.Conn, 1), make(chan struct{})}
	l.conns <- there
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }() // ends with the server
	t.Cleanup(func() {
		here.Close()
		s.Shutdown(context.Background())
		a.drain()
		<-done
	})
	return here, closed
}

func request(kind, framing string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s\r\n\r\n", messagesPath, testToken, kind, framing)
}

func TestACallerThatDoesNotTakeAnswersIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, closed := inMemory(t)
		began := time.Now()
		if _, err := io.WriteString(c, request(api.StreamType, "Transfer-Encoding: chunked")); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil { // the answer has begun
			t.Fatal(err)
		}
		chunk := strings.Repeat("{}\n", 1000)
		go fmt.Fprintf(c, "%x\r\n%s\r\n", len(chunk), chunk) // ends with the connection
		if took := (<-closed).Sub(began); took != stallTimeout {
			t.Errorf("cut off after %v, want %v", took, stallTimeout)
		}
	})
}

func TestABodyThatDoesNotComeIsRefusedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inMemory(t)
		began := time.Now()
		if _, err := io.WriteString(c, request("application/json", "Content-Length: 100")+`{"to":`); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if took := time.Since(began); took != bodyTimeout {
			t.Errorf("refused after %v, want %v", took, bodyTimeout)
		}
		checkProblem(t, "a slow body", rawAnswer{resp.StatusCode, resp.Header, string(body)}, api.CodeRequestTimeout)
	})
}

func TestHeadersThatDoNotComeEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, closed := inMemory(t)
		began := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, c) // ends with the connection
		if took := (<-closed).Sub(began); took != readHeaderTimeout {
			t.Errorf("ended after %v, want %v", took, readHeaderTimeout)
		}
	})
}
