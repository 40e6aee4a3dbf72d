package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
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
	macs         *sync.Pool // of hash.Hash, under the secret
	keys         jwt.VerificationKeySet
	parser       *jwt.Parser
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
	secret := []byte(c.Secret)
	s := &Signer{installation: c.Installation, life: c.Life}
	s.macs = &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}
	s.keys.Keys = append(s.keys.Keys, secret)
	if len(c.Previous) > 0 {
		s.keys.Keys = append(s.keys.Keys, []byte(c.Previous))
	}
	s.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	return s, nil
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
	body, err := json.Marshal(&payload{
		Issuer:   issuer,
		Audience: s.installation,
		Subject:  c.Machine,
		Account:  c.Account,
		Key:      base64.RawURLEncoding.EncodeToString(c.Key[:]),
		Issued:   now.Unix(),
		Expires:  expires.Unix(),
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("minting a token: %w", err)
	}
	return s.sign(body), expires, nil
}

// header is the same for all tokens: the algorithm is pinned.
var header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"` + headerType + `"}`))

// sign writes a token as RFC 7515, section 7.1, has it. Every connection is given one: the library
// would make its header and prepare the secret each time.
func (s *Signer) sign(body []byte) string {
	token := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(body))+base64.RawURLEncoding.EncodedLen(sha256.Size)+2)
	token = append(append(token, header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, body)
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	_, _ = mac.Write(token) // never fails
	var sum [sha256.Size]byte
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), mac.Sum(sum[:0])))
}

// Verify returns what token says, ErrExpired or ErrInvalid. A token older than the present life has
// expired whatever it says of itself.
func (s *Signer) Verify(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, ErrInvalid
	}
	var p payload
	t, err := s.parser.ParseWithClaims(token, &p, s.keysFor)
	if err != nil || !t.Valid || p.Issuer != issuer || p.Audience != s.installation {
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

// keysFor looks at the header before the signature is looked at. A critical extension is one that
// must be understood, and none is: RFC 7515, section 4.1.11.
func (s *Signer) keysFor(t *jwt.Token) (any, error) {
	_, critical := t.Header["crit"]
	if t.Header["typ"] != headerType || critical {
		return nil, ErrInvalid
	}
	return s.keys, nil
}
