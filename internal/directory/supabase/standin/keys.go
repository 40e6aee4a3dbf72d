package standin

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
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

// keyring holds the keys that work now.
type keyring struct {
	mu     sync.Mutex
	keys   Keys
	secret []byte // signs tokens
}

// Keys are the keys that work now.
func (k *keyring) Keys() Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// RotateKeys makes new keys. The old ones, and tokens signed before, are refused at once.
func (k *keyring) RotateKeys() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secret = []byte(rand.Text() + rand.Text())
	expires := time.Now().AddDate(10, 0, 0)
	k.keys = Keys{
		ServiceRole: k.tokenLocked(ServiceRole, expires),
		Anon:        k.tokenLocked(Anon, expires),
		Secret:      "sb_secret_" + rand.Text(),
		Publishable: "sb_publishable_" + rand.Text(),
	}
}

// Token is a JWT that the project signs.
func (k *keyring) Token(role string, expires time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tokenLocked(role, expires)
}

func (k *keyring) tokenLocked(role string, expires time.Time) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "supabase", "ref": "standin", "role": role, "iat": time.Now().Unix(), "exp": expires.Unix(),
	}).SignedString(k.secret)
	if err != nil {
		panic(err) // a secret of bytes signs
	}
	return token
}

var errExpired = errors.New("JWT expired")

// claimedRole verifies a JWT and returns the role it claims.
func (k *keyring) claimedRole(token string) (string, error) {
	k.mu.Lock()
	secret := k.secret
	k.mu.Unlock()
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
