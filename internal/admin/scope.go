package admin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/limit"
)

// caller is who a token belongs to.
type caller struct {
	// id is that of the token; rootCaller is the token of the settings or of the data folder.
	id     string
	secret string // empty for the root: it is not looked up again
	scopes []api.Scope
}

const rootCaller = "root"

// String keeps the secret out of everything that prints a caller.
func (c caller) String() string { return c.id }

// GoString is as String.
func (c caller) GoString() string { return c.id }

func (c caller) has(s api.Scope) bool {
	return slices.Contains(c.scopes, s) || slices.Contains(c.scopes, api.ScopeAdmin)
}

// failuresPerMinute is how often one address may come with a token that is none before it is told to
// wait. Nobody guesses 256 bits; this keeps a wrong setting from filling the log.
const failuresPerMinute = 60

func newFailures() *limit.Keyed[limit.Addr] {
	return limit.New[limit.Addr](limit.Config{Events: failuresPerMinute, Per: time.Minute})
}

// identify finds out who calls: by a token, or by the cookie that a browser got for one.
func (a *Admin) identify(r *http.Request) (caller, *api.Error) {
	secret, ok := bearer(r.Header["Authorization"])
	if len(r.Header["Authorization"]) == 0 {
		secret, ok = a.visits.secret(r)
	}
	return a.callerOf(r, secret, ok)
}

// callerOf is whom a token belongs to. Whoever comes with a good one is never held up by others.
func (a *Admin) callerOf(r *http.Request, secret string, ok bool) (caller, *api.Error) {
	if ok && a.guard.knows(secret) {
		return caller{id: rootCaller, scopes: []api.Scope{api.ScopeAdmin}}, nil
	}
	if ok {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		t, found, err := a.tokens.find(ctx, secret)
		switch {
		case err != nil:
			return caller{}, problemOf(err)
		case found:
			return caller{id: t.ID, secret: secret, scopes: t.Scopes}, nil
		}
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	if ok, _ := a.failures.Take(limit.Address(from.Addr())); !ok {
		return caller{}, api.NewError(api.CodeTooManyAttempts, "too many calls from this address had no valid token")
	}
	return caller{}, api.NewError(api.CodeUnauthorized, "the request carries no valid token")
}

// authorize tells whether the caller may do what it asks for. What is at no path needs a token and
// nothing more: that there is nothing is no secret.
func (a *Admin) authorize(c caller, r *http.Request) *api.Error {
	_, pattern := a.mux.Handler(r)
	if pattern == "/" {
		return nil
	}
	needed, ok := a.needed[pattern]
	if !ok {
		needed = api.ScopeAdmin
	}
	if c.has(needed) {
		return nil
	}
	e := api.NewError(api.CodeScopeMissing, "the token has not the scope "+string(needed))
	e.Hint = "Use a token with the scope " + string(needed) + ": `fleetline token add --scope " + string(needed) + "` makes one."
	return e
}

// stillGood looks again at the token of a call that lasts: it may have been deleted since. While the
// log does not answer nothing is known against it.
func (a *Admin) stillGood(ctx context.Context, c caller) bool {
	if c.secret == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, found, err := a.tokens.find(ctx, c.secret)
	return found || err != nil
}

// bearer is the token of a request; ok is false if there is none or more than one.
func bearer(authorization []string) (token string, ok bool) {
	if len(authorization) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}
