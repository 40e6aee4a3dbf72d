package token

import (
	"encoding/base64"
	"time"

	"github.com/golang-jwt/jwt/v5"
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

// The methods that the JWT library asks for. It is told to leave the judgement of claims to Verify.

// GetExpirationTime returns exp.
func (p *payload) GetExpirationTime() (*jwt.NumericDate, error) { return date(p.Expires), nil }

// GetIssuedAt returns iat.
func (p *payload) GetIssuedAt() (*jwt.NumericDate, error) { return date(p.Issued), nil }

// GetNotBefore returns nothing: tokens hold from the start.
func (p *payload) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer returns iss.
func (p *payload) GetIssuer() (string, error) { return p.Issuer, nil }

// GetSubject returns sub.
func (p *payload) GetSubject() (string, error) { return p.Subject, nil }

// GetAudience returns aud.
func (p *payload) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{p.Audience}, nil
}

func date(second int64) *jwt.NumericDate { return jwt.NewNumericDate(time.Unix(second, 0)) }
