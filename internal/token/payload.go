package token

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/fleetline/fleetline/wire"
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

// append writes the claims as the encoder would by their tags, without reflection.
func (p *payload) append(dst []byte) []byte {
	dst = wire.AppendText(append(dst, `{"iss":`...), p.Issuer)
	dst = wire.AppendText(append(dst, `,"aud":`...), p.Audience)
	dst = wire.AppendText(append(dst, `,"sub":`...), p.Subject)
	dst = wire.AppendText(append(dst, `,"account":`...), p.Account)
	dst = wire.AppendText(append(dst, `,"key":`...), p.Key)
	dst = strconv.AppendInt(append(dst, `,"iat":`...), p.Issued, 10)
	dst = strconv.AppendInt(append(dst, `,"exp":`...), p.Expires, 10)
	return append(dst, '}')
}

// parse reads what append writes of plain texts, and leaves everything else to the decoder.
func (p *payload) parse(body string) error {
	rest := body
	plain := cutText(&rest, `{"iss":"`, &p.Issuer) && cutText(&rest, `,"aud":"`, &p.Audience) &&
		cutText(&rest, `,"sub":"`, &p.Subject) && cutText(&rest, `,"account":"`, &p.Account) && cutText(&rest, `,"key":"`, &p.Key) &&
		cutNumber(&rest, `,"iat":`, &p.Issued) && cutNumber(&rest, `,"exp":`, &p.Expires) && rest == "}"
	if plain {
		return nil
	}
	*p = payload{}
	return json.Unmarshal([]byte(body), p)
}

// cutText takes a plain text off the front of rest, which must begin with before.
func cutText(rest *string, before string, value *string) bool {
	after, ok := strings.CutPrefix(*rest, before)
	if !ok {
		return false
	}
	*value, *rest, ok = strings.Cut(after, `"`)
	return ok && wire.IsPlain(*value)
}

// cutNumber takes a number of at most 18 digits off the front of rest.
func cutNumber(rest *string, before string, value *int64) bool {
	after, ok := strings.CutPrefix(*rest, before)
	n := 0
	for n < len(after) && after[n] >= '0' && after[n] <= '9' {
		n++
	}
	if !ok || n == 0 || n > 18 || after[0] == '0' {
		return false
	}
	*rest = after[n:]
	*value, _ = strconv.ParseInt(after[:n], 10, 64) // so few digits fit
	return true
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
