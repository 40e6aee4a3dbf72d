package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/fleetline/fleetline/internal/limit"
)

// anteroom is the machines' port before the handshake: connections that have said nothing yet are
// bounded, per address and in all, so that nobody can hold all descriptors by keeping silent. One too
// many is closed at once. The gateway bounds those that have upgraded and not authenticated.
type anteroom struct {
	net.Listener
	// Fixed after construction.
	trusted []netip.Prefix // proxies, behind which many machines stand
	direct  *limit.Places[limit.Addr]
	proxied *limit.Places[limit.Addr]

	mu sync.Mutex
	// Guarded by mu: how each connection gives its place back.
	inside map[net.Conn]func()
}

const (
	silentPerAddress = 2000
	silentInAll      = 32768
)

func newAnteroom(l net.Listener, trusted []netip.Prefix) *anteroom {
	return &anteroom{
		Listener: l, trusted: trusted,
		direct:  limit.NewPlaces[limit.Addr](silentPerAddress, silentInAll),
		proxied: limit.NewPlaces[limit.Addr](silentInAll, silentInAll),
		inside:  make(map[net.Conn]func()),
	}
}

// Accept returns the next connection that there is a place for.
func (a *anteroom) Accept() (net.Conn, error) {
	for {
		nc, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		release, ok := a.enter(nc.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		if !ok {
			_ = nc.Close()
			continue
		}
		a.mu.Lock()
		a.inside[nc] = release
		a.mu.Unlock()
		return nc, nil
	}
}

// enter takes a place for a connection from addr.
func (a *anteroom) enter(addr netip.Addr) (release func(), ok bool) {
	addr = addr.Unmap()
	if slices.ContainsFunc(a.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return a.proxied.Enter(limit.Address(addr))
	}
	return a.direct.Enter(limit.Address(addr))
}

// left is told by the HTTP server what becomes of each connection.
func (a *anteroom) left(nc net.Conn, state http.ConnState) {
	if state != http.StateHijacked && state != http.StateClosed {
		return
	}
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	a.mu.Lock()
	release := a.inside[nc]
	delete(a.inside, nc)
	a.mu.Unlock()
	if release != nil {
		release()
	}
}
