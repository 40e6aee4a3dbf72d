package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/fleetline/fleetline/internal/limit"
)

// The places are few here; what is tested is who gets one and when it is given back.
func TestConnectionsThatSayNothingAreBoundedByAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := newAnteroom(l, []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")})
	a.direct = limit.NewPlaces[limit.Addr](2, 10)
	srv := &http.Server{ConnState: a.left, Handler: http.NotFoundHandler()}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(a) }) // until Close
	defer serving.Wait()
	defer srv.Close()
	dialFrom := func(host string) net.Conn {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	served := func(c net.Conn) bool {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	first, second, third := dialFrom("127.0.0.1"), dialFrom("127.0.0.1"), dialFrom("127.0.0.1")
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one too many: %v, want it closed", err)
	}
	if !served(dialFrom("127.0.0.2")) {
		t.Error("another address was closed too")
	}
	for range 5 {
		if !served(dialFrom("127.0.0.9")) {
			t.Error("a trusted proxy was bounded as one machine is")
		}
	}
	if !served(first) || !served(second) {
		t.Error("those who had a place lost it")
	}
	_ = first.Close()
	for !served(dialFrom("127.0.0.1")) { // the server must notice first; the test's timeout bounds this
	}
}
