package token

import (
	"encoding/base64"
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
