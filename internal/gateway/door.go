package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

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

// Receive puts the engine before net/http where it can stand there: then it lets machines in whose
// handshake leaves no doubt. Whatever else comes is answered by Handler, through the listener that is
// returned.
func (g *Gateway) Receive(l net.Listener, enter func(netip.Addr) (leave func(), ok bool), patience time.Duration) (net.Listener, error) {
	engine, ok := g.engine.(socket.Receiver)
	if !ok {
		return l, nil
	}
	return engine.Receive(l, socket.Reception{Enter: enter, Admit: g.admitsRequest, Patience: patience})
}

// admitsRequest tells whether a request is a handshake that Handler would let in.
func (g *Gateway) admitsRequest(r *http.Request) (socket.Peer, bool) {
	if r.RequestURI != "/" && r.RequestURI != "/ws" {
		return socket.Peer{}, false
	}
	peer, no := g.look(r)
	return peer, no == nil
}

func (g *Gateway) serveDoor(w http.ResponseWriter, r *http.Request) {
	peer, no := g.look(r)
	if no != nil {
		g.turnBack(w, no)
		return
	}
	up, ok := g.engine.(socket.Upgrader)
	if !ok {
		writeJSON(w, http.StatusNotImplemented, `{"code":"no_upgrade"}`)
		return
	}
	if err := up.Upgrade(w, r, peer); err != nil {
		g.log.Debug("handshake refused", "addr", peer.Addr, "err", err)
	}
}

// turnedBack is an answer to a request that is not let in.
type turnedBack struct {
	status     int
	body       string
	retryAfter string
}

// All of them.
var (
	notAsked  = &turnedBack{http.StatusUpgradeRequired, `{"name":"fleetline","protocol":1}`, ""}
	badOrigin = &turnedBack{http.StatusForbidden, `{"code":"origin_not_allowed"}`, ""}
	draining  = &turnedBack{http.StatusServiceUnavailable, `{"code":"drain"}`, "2"}
	tooMany   = &turnedBack{http.StatusTooManyRequests, `{"code":"too_many_connections"}`, "5"}
)

// look tells who asks to be let in, or why not. It is the one rule, whoever reads the request.
func (g *Gateway) look(r *http.Request) (socket.Peer, *turnedBack) {
	peer := socket.Peer{Addr: g.door.clientAddr(r)}
	switch {
	case !socket.IsHandshake(r):
		return peer, notAsked
	case !g.door.allowsOrigin(r):
		return peer, badOrigin
	case g.draining.Load():
		return peer, draining
	case !g.limits.waiting.Has(limit.Address(peer.Addr)):
		return peer, tooMany
	}
	return peer, nil
}

func (g *Gateway) turnBack(w http.ResponseWriter, why *turnedBack) {
	switch why {
	case notAsked:
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
	case tooMany:
		g.metrics.refused.WithLabelValues("too_many_waiting").Inc()
	}
	if why.retryAfter != "" {
		w.Header().Set("Retry-After", why.retryAfter)
	}
	writeJSON(w, why.status, why.body)
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
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
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
