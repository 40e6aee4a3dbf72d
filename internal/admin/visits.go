package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

const (
	visitCookie = "fleetline"
	// visitLife is how long a browser that signed in stays so.
	visitLife = 12 * time.Hour
	// maxVisits bounds them; the oldest goes first.
	maxVisits = 1000
	// pageHeader must come with every change that a cookie authorizes: pages of other sites cannot add a
	// header without asking, whatever a browser thinks of cookies.
	pageHeader = "X-Fleetline"
)

// visits are the browsers that have signed in with a token. The cookie is a random number of its own: it
// ends with the process, and the token never lies in a browser.
type visits struct {
	mu sync.Mutex
	// Guarded by mu.
	byDigest map[[sha256.Size]byte]visit
}

type visit struct {
	secret string // the token; looked up at every call, so that deleting it ends the visit
	until  time.Time
}

func newVisits() *visits { return &visits{byDigest: make(map[[sha256.Size]byte]visit)} }

// begin makes a visit and returns its cookie.
func (v *visits) begin(secret string, isSecure bool) *http.Cookie {
	number := rand.Text()
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.makeRoomLocked(now)
	v.byDigest[sha256.Sum256([]byte(number))] = visit{secret, now.Add(visitLife)}
	c := cookie(number, isSecure)
	c.MaxAge = int(visitLife / time.Second)
	return c
}

func cookie(value string, isSecure bool) *http.Cookie {
	return &http.Cookie{
		Name: visitCookie, Value: value, Path: "/", HttpOnly: true, Secure: isSecure, SameSite: http.SameSiteStrictMode,
	}
}

func (v *visits) makeRoomLocked(now time.Time) {
	var oldest [sha256.Size]byte
	var first time.Time
	for digest, one := range v.byDigest {
		if one.until.Before(now) {
			delete(v.byDigest, digest)
		} else if first.IsZero() || one.until.Before(first) {
			oldest, first = digest, one.until
		}
	}
	if len(v.byDigest) >= maxVisits {
		delete(v.byDigest, oldest)
	}
}

// secret is the token behind a request's cookie.
func (v *visits) secret(r *http.Request) (secret string, ok bool) {
	isChange := r.Method != http.MethodGet && r.Method != http.MethodHead
	if isChange && r.Header.Get(pageHeader) == "" {
		return "", false
	}
	c, err := r.Cookie(visitCookie)
	if err != nil {
		return "", false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.byDigest[sha256.Sum256([]byte(c.Value))]
	return found.secret, ok && time.Now().Before(found.until)
}

func (v *visits) end(r *http.Request) {
	if c, err := r.Cookie(visitCookie); err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.byDigest, sha256.Sum256([]byte(c.Value)))
	}
}
