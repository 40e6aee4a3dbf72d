package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/fleetline/fleetline/api"
)

// guard decides whether a request may come in, before anything looks at what it asks; whose it is comes
// after.
type guard struct {
	token [sha256.Size]byte
	hosts map[string]bool
}

func newGuard(t Token, hosts []string) guard {
	g := guard{token: sha256.Sum256([]byte(t)), hosts: map[string]bool{"localhost": true}}
	for _, h := range hosts {
		g.hosts[hostName(h)] = true
	}
	return g
}

// public are the paths that answer without a token: they say nothing about the fleet.
func isPublic(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/openapi.json" || isOfThePage(path)
}

func (g *guard) admit(r *http.Request) *api.Error {
	switch {
	case !g.isOurs(r.Host):
		return api.NewError(api.CodeHostNotAllowed, "the Host header does not name this gateway")
	case isCrossOrigin(r):
		return api.NewError(api.CodeCrossOrigin, "the request comes from a page of another site")
	}
	return nil
}

// isOurs keeps out pages whose own name was made to resolve to this machine (DNS rebinding).
func (g *guard) isOurs(host string) bool {
	name := hostName(host)
	if g.hosts[name] {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostName is the host without port, brackets and trailing dot, in lower case.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isCrossOrigin believes what browsers say of themselves; programs say nothing.
func isCrossOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// knows compares digests, so that neither the length nor the content of a guess changes the time.
func (g *guard) knows(token string) bool {
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], g.token[:]) == 1
}
