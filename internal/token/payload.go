package token

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// payload is a token's claims on the wire.
type payload struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Account  string `json:"account"`
	Key      string `json:"key"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// readPayload reads what was signed.
func readPayload(body []byte) (p payload, err error) {
	if p, ok := quickPayload(string(body)); ok {
		return p, nil
	}
	err = json.Unmarshal(body, &p)
	return p, err
}

// quickPayload reads claims as Mint writes them, where no text needs an escape, without decoding JSON.
// What it does not recognize may still be a payload.
func quickPayload(body string) (p payload, ok bool) {
	r := quick{rest: body}
	p = payload{
		Issuer: r.text(`{"iss":"`), Audience: r.text(`,"aud":"`), Subject: r.text(`,"sub":"`), Account: r.text(`,"account":"`),
		Key: r.text(`,"key":"`), Issued: r.second(`,"iat":`), Expires: r.second(`,"exp":`),
	}
	return p, !r.failed && r.rest == "}"
}

// quick takes one claim after the other off the front of a payload.
type quick struct {
	rest   string
	failed bool
}

// take takes what stands behind a name and is made of certain characters.
func (r *quick) take(name string, belongs func(byte) bool) (value string) {
	rest, found := strings.CutPrefix(r.rest, name)
	n := 0
	for n < len(rest) && belongs(rest[n]) {
		n++
	}
	r.rest, r.failed = rest[n:], r.failed || !found
	return rest[:n]
}

func (r *quick) text(name string) string {
	value := r.take(name, isPlain)
	rest, closed := strings.CutPrefix(r.rest, `"`)
	r.rest, r.failed = rest, r.failed || !closed
	return value
}

func (r *quick) second(name string) int64 {
	digits := r.take(name, isDigit)
	n, err := strconv.ParseInt(digits, 10, 64)
	r.failed = r.failed || err != nil || digits[0] == '0'
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isPlain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// latest is the last second that a token may speak of: later ones do not fit a time.Duration from
// now.
const latest = 1 << 33

// claims tells whether all claims are there and make sense.
func (p *payload) claims() (c Claims, ok bool) {
	if p.Subject == "" || p.Account == "" || p.Issued <= 0 || p.Expires <= p.Issued || p.Expires > latest {
		return Claims{}, false
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(p.Key)
	if err != nil || len(key) != len(c.Key) {
		return Claims{}, false
	}
	return Claims{
		Machine:   p.Subject,
		Account:   p.Account,
		Key:       [32]byte(key),
		IssuedAt:  time.Unix(p.Issued, 0),
		ExpiresAt: time.Unix(p.Expires, 0),
	}, true
}
