package standin

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Roles of the database that keys stand for.
const (
	Anon        = "anon"
	ServiceRole = "service_role"
)

// Keys are the project's API keys, of both kinds.
type Keys struct {
	ServiceRole string // legacy: a JWT
	Anon        string // legacy: a JWT
	Secret      string // sb_secret_...
	Publishable string // sb_publishable_...
}

// role is what a key opens the project as; empty: not a key of the project.
func (k Keys) role(key string) string {
	switch key {
	case k.ServiceRole, k.Secret:
		return ServiceRole
	case k.Anon, k.Publishable:
		return Anon
	}
	return ""
}

// Keys are the keys that work now.
func (p *Project) Keys() Keys {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys
}

// RotateKeys makes new keys. The old ones are refused at once.
func (p *Project) RotateKeys() {
	p.mu.Lock()
	p.secret = []byte(rand.Text() + rand.Text())
	p.mu.Unlock()
	expires := time.Now().AddDate(10, 0, 0)
	keys := Keys{
		ServiceRole: p.Token(ServiceRole, expires),
		Anon:        p.Token(Anon, expires),
		Secret:      "sb_secret_" + rand.Text(),
		Publishable: "sb_publishable_" + rand.Text(),
	}
	p.mu.Lock()
	p.keys = keys
	p.mu.Unlock()
}

// Token is a JWT that the project signs.
func (p *Project) Token(role string, expires time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "supabase", "ref": "standin", "role": role, "iat": time.Now().Unix(), "exp": expires.Unix(),
	}).SignedString(p.secret)
	if err != nil {
		panic(err) // a secret of bytes signs
	}
	return token
}

var errExpired = errors.New("JWT expired")

// claimedRole verifies a JWT and returns the role it claims.
func (p *Project) claimedRole(token string) (string, error) {
	p.mu.Lock()
	secret := p.secret
	p.mu.Unlock()
	var claims struct {
		jwt.RegisteredClaims
		Role string `json:"role"`
	}
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{"HS256"}))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "", errExpired
	case err != nil:
		return "", err
	case claims.Role == "":
		return Anon, nil
	}
	return claims.Role, nil
}

// isNewKind tells keys that are no JWT.
func isNewKind(key string) bool { return strings.HasPrefix(key, "sb_") }
