package supabase

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// hinted is a problem that people can do something about.
type hinted struct {
	text, hint string
}

func (e *hinted) Error() string { return e.text }

// Hint tells what to do.
func (e *hinted) Hint() string { return e.hint }

// keyKind is how a service key is used.
type keyKind uint8

const (
	// secretKey is an opaque key: never sent as a bearer, for it is no token.
	secretKey keyKind = iota + 1
	// legacyKey is a JWT that says its role.
	legacyKey
)

func (k keyKind) String() string {
	return [...]string{"", "a secret key (sb_secret_...)", "the legacy service_role key"}[k]
}

const keyHint = "Use a secret key (sb_secret_...), or the legacy service_role key: Project Settings, API Keys."

// inspectKey refuses keys that do not see every row: to them, what is hidden looks deleted.
func inspectKey(k directory.Key) (keyKind, error) {
	s := string(k)
	switch {
	case s == "":
		return 0, &hinted{"the service key is missing", keyHint}
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return 0, &hinted{"the service key holds a space, a line break or an odd character", "Paste it again, without quotes."}
	case strings.HasPrefix(s, "sb_publishable_"):
		return 0, &hinted{"the service key is a publishable key, which does not see every row", keyHint}
	case strings.HasPrefix(s, "sb_secret_"):
		return secretKey, nil
	case strings.HasPrefix(s, "eyJ"):
		return legacyKey, inspectToken(s)
	}
	return 0, &hinted{"the service key is no key of a Supabase project", keyHint}
}

// inspectToken reads what a JWT says of itself. Whether that is true is for the project to find.
func inspectToken(token string) error {
	var claims struct {
		Role string      `json:"role"`
		Exp  json.Number `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return &hinted{"the service key begins like a JWT but is none", keyHint}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return &hinted{"the service key begins like a JWT but is none", keyHint}
	}
	if claims.Role != "service_role" {
		return &hinted{fmt.Sprintf("the service key has the role %q, not service_role", shortened(claims.Role)), keyHint}
	}
	if exp, err := claims.Exp.Float64(); err == nil && time.Now().After(time.Unix(int64(exp), 0)) {
		return &hinted{"the service key has expired", keyHint}
	}
	return nil
}

// shortened keeps what a foreign text may fill of a message small.
func shortened(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// hintOf is what an error says people can do.
func hintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}
