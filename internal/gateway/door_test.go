package gateway

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestTheRightmostUntrustedAddressCounts(t *testing.T) {
	d := doorRules{trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:1234", "", "203.0.113.9"},
		{"203.0.113.9:1234", "198.51.100.1", "203.0.113.9"}, // not from a proxy: anybody can write it
		{"127.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:1", "192.0.2.66, 198.51.100.1", "198.51.100.1"}, // forged on the left
		{"127.0.0.1:1", "192.0.2.66, 198.51.100.1, 10.1.2.3", "198.51.100.1"},
		{"127.0.0.1:1", "rubbish", "127.0.0.1"},
		{"127.0.0.1:1", "rubbish, 198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"[2001:db8::1]:7", "", "2001:db8::1"},
		{"[::ffff:127.0.0.1]:7", "2001:db8::2", "2001:db8::2"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := d.clientAddr(r).String(); got != c.want {
			t.Errorf("from %s with X-Forwarded-For %q: got %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestAPageOfAnotherSiteMayNotConnect(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		origin  string
		want    bool
	}{
		{nil, "", true},
		{nil, "https://gw.example", true},
		{nil, "https://evil.example", false},
		{nil, "null", false},
		{[]string{"https://app.example"}, "https://app.example", true},
		{[]string{"https://app.example"}, "https://gw.example", false},
		{[]string{"*"}, "https://evil.example", true},
	} {
		r := httptest.NewRequest("GET", "https://gw.example/ws", nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := (doorRules{origins: c.allowed}).allowsOrigin(r); got != c.want {
			t.Errorf("origin %q with %v allowed: got %v, want %v", c.origin, c.allowed, got, c.want)
		}
	}
}
