package fleetline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func credential(a wire.Auth) string {
	if a.SessionToken != "" && a.APIKey != "" {
		return "both"
	}
	return a.APIKey + a.SessionToken
}

func TestAReconnectUsesTheNewestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 3)
		g := play(t,
			ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})) }),
			ws(func(p *peer) {
				heard <- credential(p.letIn(wire.Welcome{}))
				p.send(wire.Token{SessionToken: "pushed", ExpiresAt: time.Now().Add(15 * time.Minute)})
			}),
			ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})); p.stay() }))
		_ = g.connect(Config{})
		for _, want := range []string{"flk_key", testToken, "pushed"} {
			if got := <-heard; got != want {
				t.Errorf("came with %q, want %q", got, want)
			}
		}
	})
}

func TestAnExpiredTokenIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 2)
		g := play(t,
			ws(func(p *peer) {
				heard <- credential(p.letIn(wire.Welcome{ExpiresAt: time.Now().Add(5 * time.Second)}))
				time.Sleep(10 * time.Second) // the session outlives its token
			}),
			ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})); p.stay() }))
		_ = g.connect(Config{})
		if first, second := <-heard, <-heard; first != "flk_key" || second != "flk_key" {
			t.Errorf("came with %q, then %q", first, second)
		}
	})
}

func TestARefusedTokenIsReplacedByTheKey(t *testing.T) {
	for name, refuse := range map[string]func(p *peer){
		"bad_token frame": func(p *peer) { p.send(wire.AuthFailed{Message: "Invalid session token", Code: wire.CodeBadToken}) },
		"close 4005":      func(p *peer) { p.close(wire.CloseBadToken, "bad_token") },
		"the key changed": func(p *peer) {
			p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
			p.close(4501, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard := make(chan string, 3)
				g := play(t,
					ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})) }),
					ws(func(p *peer) { heard <- credential(p.hearAuth()); refuse(p) }),
					ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})); p.stay() }))
				_ = g.connect(Config{})
				for _, want := range []string{"flk_key", testToken, "flk_key"} {
					if got := <-heard; got != want {
						t.Errorf("came with %q, want %q", got, want)
					}
				}
			})
		})
	}
}

func TestAKeyThatIsRefusedAfterItsTokenWasEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := func(p *peer) {
			p.hearAuth()
			p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
			p.close(4501, "")
		}
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}) }), ws(bad))
		err := endOf(t, g, Config{})
		if n := len(g.dialed()); n != 3 || !errors.Is(err, ErrBadKey) {
			t.Errorf("%d attempts, %v; want the token, the key, the end", n, err)
		}
	})
}

func TestAKeyThatIsRefusedOnTheSessionItOpenedEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
			p.close(4501, "bad_key")
		}))
		err := endOf(t, g, Config{})
		if n := len(g.dialed()); n != 1 || !errors.Is(err, ErrBadKey) {
			t.Errorf("%d attempts, %v; want the one, the end", n, err)
		}
	})
}

func TestATokenOfAnotherKeyIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 2)
		var key atomic.Value
		key.Store("flk_old")
		g := play(t,
			ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})); key.Store("flk_new") }),
			ws(func(p *peer) { heard <- credential(p.letIn(wire.Welcome{})); p.stay() }))
		_ = g.connect(Config{KeyFunc: func(context.Context) (string, error) { return key.Load().(string), nil }})
		if first, second := <-heard, <-heard; first != "flk_old" || second != "flk_new" {
			t.Errorf("came with %q, then %q", first, second)
		}
	})
}

func TestNoKeyAndNoTokenIsEverShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown notebook
		g := play(t,
			page(500),
			ws(func(p *peer) {
				p.hearAuth()
				p.sendText(`{"type":"` + testToken + `"`)
				p.sendText(`{"type":1,"x":"` + testToken + `"}`)
			}),
			ws(func(p *peer) {
				p.letIn(wire.Welcome{})
				p.send(wire.Token{SessionToken: testToken + "2", ExpiresAt: time.Now().Add(time.Hour)})
			}),
			ws(func(p *peer) {
				p.hearAuth()
				p.send(wire.AuthFailed{Message: "Invalid session token", Code: wire.CodeBadToken})
			}),
			ws(func(p *peer) {
				p.letIn(wire.Welcome{})
				p.send(wire.Error{Message: "slow down", Code: wire.CodeRateLimited})
				p.close(4002, "rate_limited")
			}),
			deletions["frame and close, on a live session"])
		store := &MemoryState{state: State{APIKey: "flk_stored"}}
		cfg := Config{APIKey: "flk_key", State: store, Logger: slog.New(slog.NewTextHandler(&shown, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		cfg.OnStatus = func(s Status) { fmt.Fprintf(&shown, "%+v %#v %v\n", s, s, s.Reason) }
		err := endOf(t, g, cfg)
		_, again := g.tryConnect(t.Context(), cfg)
		state, _ := store.Load()
		state.APIKey = "flk_stored"
		fmt.Fprintf(&shown, "%v %+v %v %+v %v %#v", err, err, again, state, state, state)
		if containsSecret(shown.String()) {
			t.Errorf("a secret in:\n%s", shown.String())
		}
	})
}

// notebook is a buffer that many may write to.
type notebook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(b)
}

func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}
