package token

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Secret is the key tokens are signed with. However it is printed or encoded, it shows as ***.
type Secret []byte

const hidden = "***"

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String hides the secret.
func (Secret) String() string { return hidden }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// GenerateSecret makes a secret of 48 random bytes, written in 64 characters that need no quoting
// anywhere.
func GenerateSecret() Secret {
	b := make([]byte, 48)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.AppendEncode(nil, b)
}

// minSecret is as long as the digest: RFC 7518, section 3.2.
const minSecret = 32

var (
	errShort  = fmt.Errorf("it is shorter than %d bytes", minSecret)
	errSample = errors.New("it is a sample value that everybody knows")
	errRepeat = errors.New("it repeats itself")
)

// check tells what makes s easy to guess.
func (s Secret) check() error {
	switch {
	case isSample(string(s)):
		return errSample
	case len(s) < minSecret:
		return errShort
	case isRepetition(string(s)):
		return errRepeat
	}
	return nil
}

// samples are values that guides, templates and self-hosting kits ship. They are compared without
// case and without what is neither letter nor digit.
var samples = []string{
	"yoursupersecretjwttokenwithatleast32characterslong", // Supabase, self-hosted
	"supersecretjwttokenwithatleast32characterslong",     // Supabase, local
	"astringsecretatleast256bitslong",                    // jwt.io
	"your256bitsecret", "your384bitsecret", "your512bitsecret", "yoursecretkey", "yoursecret", "yourjwtsecret",
	"yoursupersecretjwtkey", "yoursupersecretkey", "yourjwtsecretkey", "secret", "secretkey", "supersecret",
	"supersecretkey", "jwtsecret", "jwtsecretkey", "mysecret", "mysecretkey", "mysupersecretkey", "password",
	"changeme", "changeit", "default", "example", "test", "development", "thisisasecret", "shhhhh",
	"keyboardcat", "verysecret", "topsecret", "0123456789abcdef0123456789abcdef",
}

// placeholders say of any value that holds them that somebody was meant to replace it.
var placeholders = []string{
	"changeme", "changethis", "replaceme", "replacethis", "replacewith", "pleasechange", "yoursecret", "yourjwt",
	"yoursupersecret", "yourownsecret", "atleast32char", "atleast256bit", "minimum32char", "insertsecret",
	"supersecretjwt", "secrethere", "notasecret",
}

func isSample(s string) bool {
	plain := strings.Map(plainLetter, s)
	for _, sample := range samples {
		if plain == sample || strings.TrimRight(plain, "0123456789") == sample {
			return true
		}
	}
	for _, p := range placeholders {
		if strings.Contains(plain, p) {
			return true
		}
	}
	return false
}

func plainLetter(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r - 'A' + 'a'
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	}
	return -1
}

// isRepetition tells whether s is a shorter text over and over, the last time perhaps cut short.
func isRepetition(s string) bool {
	for n := 1; n <= len(s)/2; n++ {
		if s[n:] == s[:len(s)-n] {
			return true
		}
	}
	return false
}
