package admin

import (
	"net/http/httptest"
	"testing"
)

func TestOnlyHostsOfThisDoorAreServed(t *testing.T) {
	g := newGuard("token", []string{"Admin.Example.com", "10.1.2.3:5001"})
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:5001": true, "localhost.": true, "127.0.0.1": true, "127.9.9.9:80": true,
		"[::1]": true, "[::1]:5001": true, "[::ffff:127.0.0.1]:1": true,
		"admin.example.com": true, "admin.example.com:443": true, "10.1.2.3": true, "10.1.2.3:5001": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"10.1.2.4": false, "0.0.0.0": false, "evil.example:5001": false, "127.0.0.1@evil.example": false, "2130706433": false,
	} {
		if got := g.isOurs(host); got != want {
			t.Errorf("host %q: got %v, want %v", host, got, want)
		}
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"", "", false},
		{"Sec-Fetch-Site", "same-origin", false},
		{"Sec-Fetch-Site", "none", false},
		{"Sec-Fetch-Site", "same-site", true},
		{"Sec-Fetch-Site", "cross-site", true},
		{"Origin", "http://127.0.0.1:5001", false},
		{"Origin", "http://127.0.0.1:5002", true},
		{"Origin", "https://evil.example", true},
		{"Origin", "null", true},
		{"Origin", "::", true},
	} {
		r := httptest.NewRequest("GET", "http://127.0.0.1:5001/v1/accounts", nil)
		if c.name != "" {
			r.Header.Set(c.name, c.value)
		}
		if got := isCrossOrigin(r); got != c.want {
			t.Errorf("%s: %s: got %v, want %v", c.name, c.value, got, c.want)
		}
	}
}

func TestOnlyTheWholeTokenOpens(t *testing.T) {
	g := newGuard("s3cret-token", nil)
	for _, c := range []struct {
		headers []string
		want    bool
	}{
		{[]string{"Bearer s3cret-token"}, true},
		{[]string{"bearer s3cret-token"}, true},
		{[]string{"Bearer  s3cret-token "}, true},
		{nil, false},
		{[]string{""}, false},
		{[]string{"Bearer"}, false},
		{[]string{"Bearer "}, false},
		{[]string{"s3cret-token"}, false},
		{[]string{"Basic s3cret-token"}, false},
		{[]string{"Bearer s3cret-toke"}, false},
		{[]string{"Bearer s3cret-token2"}, false},
		{[]string{"Bearer S3CRET-TOKEN"}, false},
		{[]string{"Bearer s3cret-token", "Bearer s3cret-token"}, false},
	} {
		token, ok := bearer(c.headers)
		if got := ok && g.knows(token); got != c.want {
			t.Errorf("%q: got %v, want %v", c.headers, got, c.want)
		}
	}
}

func TestNamesThatMayBeSecretsAreNotShown(t *testing.T) {
	for name, want := range map[string]string{
		"limit": "limit", "Online-2_x": "Online-2_x",
		"flk_abc": "(not shown)", "flo_abc": "(not shown)", "": "(not shown)", "a b": "(not shown)", "é": "(not shown)",
		"eyJhbGciOiJIUzI1NiJ9.e30.x":            "(not shown)",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": "(not shown)",
	} {
		if got := printable(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
