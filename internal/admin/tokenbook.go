package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

const (
	// tokenPrefix lets people and scanners for secrets tell a token from everything else.
	tokenPrefix = "flo_"
	tokenBytes  = 32
	// maxTokens bounds the list.
	maxTokens = 1000
	// usedEvery is how often it is stored when tokens were last used, to the minute.
	usedEvery = time.Minute
	// Keys of records on the shelf: tokens by the digest of their secret, and uses by their id.
	keyToken = "token "
	keyUsed  = "used "
)

// tokenBook is the tokens that operators have made. Only digests are stored. Every look goes to the
// shelf, so a token that was deleted on any node opens nothing on all of them from then on.
type tokenBook struct {
	shelf *broker.Shelf
	log   *slog.Logger
	// adding is held while a token is made, so that two do not get the same name.
	adding sync.Mutex

	mu sync.Mutex
	// guarded by mu
	used map[string]time.Time // by id; what is not yet on the shelf
}

func newTokenBook(shelf *broker.Shelf, log *slog.Logger) *tokenBook {
	return &tokenBook{shelf: shelf, log: log, used: make(map[string]time.Time)}
}

// storedToken is a record of the shelf.
type storedToken struct {
	api.Token
	Digest string `json:"digest"`
}

func digestOf(secret string) string {
	d := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(d[:])
}

// find looks a secret up. What is compared are digests, so neither the place nor the length of a wrong
// guess shows in the time.
func (b *tokenBook) find(ctx context.Context, secret string) (t api.Token, found bool, err error) {
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > longestToken {
		return t, false, nil
	}
	digest := digestOf(secret)
	value, found, err := b.shelf.Get(ctx, keyToken+digest)
	if err != nil || !found {
		return t, false, err
	}
	var s storedToken
	if err := json.Unmarshal(value, &s); err != nil {
		return t, false, fmt.Errorf("reading a token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(s.Digest), []byte(digest)) != 1 {
		return t, false, nil
	}
	b.note(s.ID, time.Now())
	return s.Token, true, nil
}

// longestToken is more than any token has.
const longestToken = 128

func (b *tokenBook) note(id string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[id] = at.UTC().Truncate(time.Minute)
}

// add makes a token.
func (b *tokenBook) add(ctx context.Context, n api.NewToken) (api.TokenKey, error) {
	b.adding.Lock()
	defer b.adding.Unlock()
	all, err := b.list(ctx)
	if err != nil {
		return api.TokenKey{}, err
	}
	if len(all) >= maxTokens {
		return api.TokenKey{}, api.NewError(api.CodeStoreFull, fmt.Sprintf("there are %d tokens already", maxTokens))
	}
	for _, t := range all {
		if n.Name != "" && (t.Name == n.Name || t.ID == n.Name) {
			return api.TokenKey{}, api.NewError(api.CodeTokenExists, "there is a token of this name")
		}
	}
	raw := make([]byte, tokenBytes)
	rand.Read(raw) // never fails
	secret := tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	s := storedToken{Digest: digestOf(secret), Token: api.Token{
		ID: "tok_" + strings.ToLower(rand.Text()[:10]), Name: n.Name, Scopes: n.Scopes, CreatedAt: time.Now().UTC().Truncate(time.Second),
	}}
	value, err := json.Marshal(s)
	if err != nil {
		return api.TokenKey{}, fmt.Errorf("storing a token: %w", err)
	}
	if err := b.shelf.Put(ctx, keyToken+s.Digest, value); err != nil {
		return api.TokenKey{}, err
	}
	return api.TokenKey{Token: s.Token, Secret: api.Key(secret)}, nil
}

// list is every token, the oldest first.
func (b *tokenBook) list(ctx context.Context) ([]storedToken, error) {
	var all []storedToken
	used := make(map[string]time.Time)
	err := b.shelf.All(ctx, func(key string, value []byte) {
		var s storedToken
		if id, ok := strings.CutPrefix(key, keyUsed); ok {
			at, _ := time.Parse(time.RFC3339, string(value)) // nothing depends on it
			used[id] = at
		} else if strings.HasPrefix(key, keyToken) && json.Unmarshal(value, &s) == nil {
			all = append(all, s)
		}
	})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, t := range all {
		all[i].LastUsedAt = used[t.ID]
		if at := b.used[t.ID]; at.After(used[t.ID]) {
			all[i].LastUsedAt = at
		}
	}
	slices.SortFunc(all, func(a, b storedToken) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// remove deletes the token of this id or name, and returns its id.
func (b *tokenBook) remove(ctx context.Context, idOrName string) (id string, err error) {
	all, err := b.list(ctx)
	if err != nil {
		return "", err
	}
	named := slices.DeleteFunc(all, func(t storedToken) bool { return t.ID != idOrName && (t.Name != idOrName || idOrName == "") })
	switch {
	case len(named) == 0:
		return "", api.NewError(api.CodeTokenNotFound, "there is no such token")
	case len(named) > 1:
		return "", api.NewError(api.CodeInvalidRequest, "several tokens have this name: delete them by id")
	}
	if err := b.shelf.Remove(ctx, keyToken+named[0].Digest); err != nil {
		return "", err
	}
	b.mu.Lock()
	delete(b.used, named[0].ID)
	b.mu.Unlock()
	_ = b.shelf.Remove(ctx, keyUsed+named[0].ID) // what is left of it opens nothing
	return named[0].ID, nil
}

// flush stores when tokens were last used. It is for people: what cannot be stored is lost.
func (b *tokenBook) flush(ctx context.Context) {
	b.mu.Lock()
	used := b.used
	b.used = make(map[string]time.Time)
	b.mu.Unlock()
	for id, at := range used {
		if err := b.shelf.Put(ctx, keyUsed+id, []byte(at.Format(time.RFC3339))); err != nil {
			b.log.Warn("storing when tokens were last used", "tokens", len(used), "err", err)
			return
		}
	}
}
