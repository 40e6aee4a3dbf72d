package fleetline

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// defaultPort is where a gateway listens unless it is told otherwise.
const defaultPort = "5000"

// Endpoint is the WebSocket address that Connect makes out of what people write, or what is wrong
// with it: host, host:port, http(s):// or ws(s)://. Without a scheme it is wss, or ws on this very
// host, where a gateway without a certificate at its default port is the rule.
func Endpoint(addr string) (string, error) {
	addr = strings.TrimSpace(addr)
	bare := !strings.Contains(addr, "://")
	if bare {
		addr = "wss://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		return "", errors.New("the gateway's address is not a URL") // the cause quotes it whole
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the gateway's address must not carry user, query or fragment: the key travels in the first frame")
	}
	if u.Hostname() == "" {
		return "", errors.New("the gateway's address names no host")
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("the gateway's address begins with %q: use wss, ws, https or http", u.Scheme)
	}
	if bare && isLoopback(u.Hostname()) {
		u.Scheme = "ws"
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
