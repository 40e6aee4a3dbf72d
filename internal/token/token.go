package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors of Verify. They say nothing of the token's content.
var (
	// ErrExpired means that the token was good once.
	ErrExpired = errors.New("the token has expired")
	// ErrInvalid means that the token was never good here.
	ErrInvalid = errors.New("the token is not valid")
)

const (
	defaultLife = 15 * time.Minute
	issuer      = "fleetline"
	headerType  = "fleetline+jwt"
	// skew is how far the clock of another node may be ahead.
	skew = time.Minute
	// maxToken bounds what is parsed.
	maxToken = 4096
	// usualBody is more than what most tokens say.
	usualBody = 512
)

// Config is what a Signer is made of. Secret and Installation are required.
type Config struct {
	Secret Secret
	// Previous is the secret before Secret: tokens under it are verified, none are minted. Empty:
	// none.
	Previous Secret
	// Installation is the audience of all tokens.
	Installation string
	// Life is how long a token lasts, in whole seconds. 0: 15 minutes.
	Life time.Duration
	// Dev allows secrets that are easy to guess.
	Dev bool
}

func (c Config) check() error {
	var problems []error
	if len(c.Secret) == 0 {
		problems = append(problems, errors.New("the token secret is missing"))
	} else if err := c.Secret.check(); err != nil && !c.Dev {
		problems = append(problems, fmt.Errorf("the token secret is easy to guess: %w", err))
	}
	if err := c.Previous.check(); len(c.Previous) > 0 && err != nil && !c.Dev {
		problems = append(problems, fmt.Errorf("the previous token secret is easy to guess: %w", err))
	}
	if c.Installation == "" {
		problems = append(problems, errors.New("the installation is missing"))
	}
	if c.Life < 0 || c.Life%time.Second != 0 {
		problems = append(problems, fmt.Errorf("the token life %v is not a whole number of seconds", c.Life))
	}
	return errors.Join(problems...)
}

// Claims are what a token says.
type Claims struct {
	Machine string
	Account string
	// Key is the SHA-256 of the API key the machine came with.
	Key [32]byte
	// IssuedAt and ExpiresAt are set by Verify and ignored by Mint.
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Signer mints and verifies. It is immutable and safe for concurrent use.
type Signer struct {
	secrets      []*sync.Pool // of *pen, under the secret and the one before it
	installation string
	life         time.Duration
}

// New reports all problems of c at once.
func New(c Config) (*Signer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Life == 0 {
		c.Life = defaultLife
	}
	s := &Signer{installation: c.Installation, life: c.Life, secrets: []*sync.Pool{pens(c.Secret)}}
	if len(c.Previous) > 0 {
		s.secrets = append(s.secrets, pens(c.Previous))
	}
	return s, nil
}

// pen signs. Its secret is prepared, which is the larger part of signing so little, and it has room to
// write in.
type pen struct {
	mac  hash.Hash
	sum  [sha256.Size]byte
	text []byte
}

func pens(secret Secret) *sync.Pool {
	return &sync.Pool{New: func() any { return &pen{mac: hmac.New(sha256.New, secret)} }}
}

// appendSignature writes the signature of text behind to.
func (p *pen) appendSignature(to, text []byte) []byte {
	p.mac.Reset()
	_, _ = p.mac.Write(text) // never fails
	return base64.RawURLEncoding.AppendEncode(to, p.mac.Sum(p.sum[:0]))
}

// hasSigned tells whether a token ends in the signature of what stands before it.
func (p *pen) hasSigned(token string) bool {
	p.text = append(p.text[:0], token...)
	text, dotted := p.text[:len(token)-signatureLen-1], p.text[len(token)-signatureLen-1:]
	var want [1 + signatureLen]byte
	return hmac.Equal(dotted, p.appendSignature(append(want[:0], '.'), text))
}

// Format hides the secrets from every verb of fmt.
func (*Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// Life is how long a token lasts.
func (s *Signer) Life() time.Duration { return s.life }

// Mint makes a token that lasts from now until expires.
func (s *Signer) Mint(c Claims) (token string, expires time.Time, err error) {
	if c.Machine == "" || c.Account == "" {
		return "", time.Time{}, errors.New("minting a token: it names no machine or no account")
	}
	now := time.Now().Truncate(time.Second)
	expires = now.Add(s.life)
	said := payload{
		Issuer:   issuer,
		Audience: s.installation,
		Subject:  c.Machine,
		Account:  c.Account,
		Key:      base64.RawURLEncoding.EncodeToString(c.Key[:]),
		Issued:   now.Unix(),
		Expires:  expires.Unix(),
	}
	var room [usualBody]byte
	return s.sign(said.append(room[:0])), expires, nil
}

// header is the same for all tokens, to the letter, and so no token chooses how it is verified.
var header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"`+headerType+`"}`)) + "."

// strictBase64 takes one spelling of each text.
var strictBase64 = base64.RawURLEncoding.Strict()

// signatureLen is that of a signature as it is written.
const signatureLen = (sha256.Size*8 + 5) / 6

// sign writes a token as RFC 7515, section 7.1, has it.
func (s *Signer) sign(body []byte) string {
	p := s.secrets[0].Get().(*pen)
	defer s.secrets[0].Put(p)
	token := base64.RawURLEncoding.AppendEncode(append(p.text[:0], header...), body)
	p.text = p.appendSignature(append(token, '.'), token)
	return string(p.text)
}

// Verify returns what token says, ErrExpired or ErrInvalid. A token older than the present life has
// expired whatever it says of itself.
func (s *Signer) Verify(token string) (Claims, error) {
	body, ok := s.open(token)
	if !ok {
		return Claims{}, ErrInvalid
	}
	var p payload
	if err := p.parse(body); err != nil || p.Issuer != issuer || p.Audience != s.installation {
		return Claims{}, ErrInvalid
	}
	c, ok := p.claims()
	now := time.Now()
	switch {
	case !ok || c.IssuedAt.After(now.Add(skew)):
		return Claims{}, ErrInvalid
	case !now.Before(c.ExpiresAt) || !now.Before(c.IssuedAt.Add(s.life)):
		return Claims{}, ErrExpired
	}
	return c, nil
}

// open returns what was signed. Nothing of a token is read before its signature has proved it to be
// one that sign has written: another header, or the same signature spelled in another way, is none.
func (s *Signer) open(token string) (body string, ok bool) {
	if len(token) > maxToken || len(token) < len(header)+1+signatureLen || !strings.HasPrefix(token, header) {
		return "", false
	}
	if !slices.ContainsFunc(s.secrets, func(pens *sync.Pool) bool { return isSigned(token, pens) }) {
		return "", false
	}
	var room [usualBody]byte
	text, err := strictBase64.AppendDecode(room[:0], []byte(token[len(header):len(token)-signatureLen-1]))
	return string(text), err == nil
}

func isSigned(token string, pens *sync.Pool) bool {
	p := pens.Get().(*pen)
	defer pens.Put(p)
	return p.hasSigned(token)
}
