package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetline/fleetline/internal/limit"
	"github.com/fleetline/fleetline/internal/socket"
)

// doorRules are what the HTTP side of the door goes by.
type doorRules struct {
	trusted []netip.Prefix
	origins []string
}

// Handler serves the machines' port: WebSocket on / and /ws, and /healthz.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", g.serveDoor)
	mux.HandleFunc("GET /ws", g.serveDoor)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, `{"status":"ok"}`)
	})
	return mux
}

func (g *Gateway) serveDoor(w http.ResponseWriter, r *http.Request) {
	switch {
	case !socket.IsHandshake(r):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		writeJSON(w, http.StatusUpgradeRequired, `{"name":"fleetline","protocol":1}`)
	case !g.door.allowsOrigin(r):
		writeJSON(w, http.StatusForbidden, `{"code":"origin_not_allowed"}`)
	case g.draining.Load():
		w.Header().Set("Retry-After", "2")
		writeJSON(w, http.StatusServiceUnavailable, `{"code":"drain"}`)
	default:
		g.upgrade(w, r)
	}
}

func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request) {
	up, ok := g.engine.(socket.Upgrader)
	if !ok {
		writeJSON(w, http.StatusNotImplemented, `{"code":"no_upgrade"}`)
		return
	}
	peer := socket.Peer{Addr: g.door.clientAddr(r)}
	if !g.limits.waiting.Has(limit.Address(peer.Addr)) {
		g.metrics.refused.WithLabelValues("too_many_waiting").Inc()
		w.Header().Set("Retry-After", "5")
		writeJSON(w, http.StatusTooManyRequests, `{"code":"too_many_connections"}`)
		return
	}
	if err := up.Upgrade(w, r, peer); err != nil {
		g.log.Debug("handshake refused", "addr", peer.Addr, "err", err)
	}
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body + "\n")) // the client may be gone; there is nobody to tell
}

// allowsOrigin keeps a page of another site from using a visitor's network to reach the gateway.
// Programs send no Origin.
func (d doorRules) allowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(d.origins, "*") || slices.Contains(d.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && len(d.origins) == 0 && strings.EqualFold(u.Host, r.Host)
}

// clientAddr is the address that counts: the peer's or, behind trusted proxies, the rightmost
// untrusted one of X-Forwarded-For. What stands left of that anybody can write.
func (d doorRules) clientAddr(r *http.Request) netip.Addr {
	addr := remoteAddr(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && d.isTrusted(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}

func (d doorRules) isTrusted(a netip.Addr) bool {
	return slices.ContainsFunc(d.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

func remoteAddr(hostport string) netip.Addr {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	a, _ := netip.ParseAddr(host) // what is no address counts as one that is never trusted
	return a.Unmap().WithZone("")
}
