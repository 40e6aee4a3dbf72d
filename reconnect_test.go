package fleetline

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestReconnectsAreJitteredFromTheFirstAttemptUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(1011, "") }))
		var d diary
		_ = g.connect(Config{OnStatus: d.note})
		time.Sleep(time.Hour)
		waits, ceiling, whole := d.of(Waiting), time.Second, 0
		if len(waits) < 60 {
			t.Fatalf("%d attempts in an hour", len(waits))
		}
		for i, w := range waits {
			if w.Delay < 0 || w.Delay >= ceiling {
				t.Errorf("wait %d is %v, ceiling %v", i, w.Delay, ceiling)
			}
			if w.Delay%time.Second == 0 {
				whole++
			}
			ceiling = min(2*ceiling, time.Minute)
		}
		if whole > len(waits)/2 {
			t.Errorf("%d of %d waits are whole seconds: no jitter", whole, len(waits))
		}
		dials := g.dialed()
		for i, w := range waits[:len(dials)-1] {
			if got := dials[i+1].Sub(w.at); got != w.Delay {
				t.Errorf("wait %d took %v, said %v", i, got, w.Delay)
			}
		}
	})
}

func TestTheWholeOfTheFirstSecondIsUsed(t *testing.T) {
	var early, late int
	for range 200 {
		var b backoff
		switch d := b.next(0, 0); {
		case d >= time.Second || d < 0:
			t.Fatalf("the first wait is %v", d)
		case d < time.Second/2:
			early++
		default:
			late++
		}
	}
	if early < 50 || late < 50 {
		t.Errorf("%d waits in the first half, %d in the second", early, late)
	}
}

func TestAStableSessionMakesTheWaitsSmallAgain(t *testing.T) {
	var b backoff
	for range 10 {
		_ = b.next(0, 0)
	}
	for range 100 {
		if d := b.next(stableAfter, 0); d >= firstWait {
			t.Fatalf("after a stable session the wait is %v", d)
		}
	}
	if b.next(stableAfter-1, 0); b.ceiling != 4*firstWait {
		t.Errorf("an unstable session does not count on: %v", b.ceiling)
	}
}

func TestTheGatewaysHintIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		act  http.HandlerFunc
		hint time.Duration
	}{
		"drain": {ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(wire.CloseRestart, "drain; retryAfterMs=90000") }), 90 * time.Second},
		"auth_failed": {ws(func(p *peer) {
			p.hearAuth()
			p.send(wire.AuthFailed{Message: "m", Code: wire.CodeRateLimited, RetryAfterMs: 45000})
		}), 45 * time.Second},
		"error before close": {ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.send(wire.Error{Message: "m", Code: wire.CodeRateLimited, RetryAfterMs: 45000})
			p.close(4002, "")
		}), 45 * time.Second},
		"held":    {ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(wire.CloseHeld, "held; retryAfterMs=3000") }), 3 * time.Second},
		"a proxy": {page(503, "Retry-After", "120"), 2 * time.Minute},
		"nonsense is bounded": {ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.close(wire.CloseRestart, "drain; retryAfterMs=9007199254740991")
		}), time.Hour},
		"a proxy's nonsense":   {page(503, "Retry-After", "soon"), 0},
		"a date is not a wait": {page(503, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, c.act, ws(idle))
				_ = g.connect(Config{})
				time.Sleep(2 * time.Hour)
				dials := g.dialed()
				if len(dials) != 2 {
					t.Fatalf("%d attempts, want 2", len(dials))
				}
				if got := dials[1].Sub(dials[0]); got < c.hint || got >= c.hint+time.Second {
					t.Errorf("came back after %v, want %v and up to a second more", got, c.hint)
				}
			})
		})
	}
}

func TestAnOldComplaintDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{HeartbeatSeconds: 3600})
			p.send(wire.Error{Message: "m", Code: wire.CodeRateLimited, RetryAfterMs: 45000})
			time.Sleep(time.Minute)
			p.close(1011, "")
		}), ws(idle))
		_ = g.connect(Config{})
		time.Sleep(2 * time.Minute)
		if dials := g.dialed(); len(dials) != 2 || dials[1].Sub(dials[0]) >= time.Minute+time.Second {
			t.Errorf("attempts at %v", dials)
		}
	})
}

func TestASilentGatewayIsLeftAfterOneAndAHalfHeartbeats(t *testing.T) {
	for _, heartbeat := range []time.Duration{30 * time.Second, 10 * time.Second, 500 * time.Millisecond} {
		t.Run(heartbeat.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, ws(func(p *peer) {
					p.letIn(wire.Welcome{HeartbeatSeconds: heartbeat.Seconds()})
					time.Sleep(heartbeat - time.Millisecond)
					p.send(wire.Ping{})
					p.stay()
				}), ws(idle))
				var d diary
				_ = g.connect(Config{OnStatus: d.note})
				time.Sleep(5 * heartbeat)
				up, waits := d.of(Connected)[0], d.of(Waiting)
				if len(waits) == 0 {
					t.Fatal("the silent gateway was not left")
				}
				want := heartbeat - time.Millisecond + wire.Silence(heartbeat)
				if got := waits[0].at.Sub(up.at); got != want || !errors.Is(waits[0].Reason, ErrSilent) {
					t.Errorf("left after %v (%v), want %v", got, waits[0].Reason, want)
				}
			})
		})
	}
}

func TestEveryByteOfALargeFrameOnASlowLinkIsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{HeartbeatSeconds: 10})
			frame := wire.AppendData(nil, 1, "", []byte(`"0123456789012345678901234567890123456789"`))
			p.sendRaw([]byte{0x81, byte(len(frame))})
			for _, b := range frame {
				time.Sleep(10 * time.Second)
				p.sendRaw([]byte{b})
			}
			p.stay()
		}))
		c := g.connect(Config{})
		take(t, c, 1)
		if n := len(g.dialed()); n != 1 {
			t.Errorf("%d connections, want the one", n)
		}
	})
}

func TestAnAttemptWithoutAnAnswerIsGivenUpAfter30Seconds(t *testing.T) {
	for name, act := range map[string]http.HandlerFunc{
		"no answer to auth": ws(func(p *peer) { p.stay() }),
		"chatter but no answer": ws(func(p *peer) {
			p.hearAuth()
			for {
				if p.conn.Write(p.request.Context(), 1, []byte(`{"type":"news"}`)) != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}),
		"no handshake": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, act, ws(idle))
				var d diary
				start := time.Now()
				_ = g.connect(Config{OnStatus: d.note})
				waits := d.of(Waiting)
				if len(waits) != 1 || waits[0].at.Sub(start) != letInWithin || !errors.Is(waits[0].Reason, ErrTooSlow) {
					t.Errorf("waits: %v", waits)
				}
			})
		})
	}
}

func TestALateGatewayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			time.Sleep(letInWithin - time.Millisecond)
			p.letIn(wire.Welcome{})
			p.stay()
		}))
		_ = g.connect(Config{})
		if n := len(g.dialed()); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
	})
}

func TestPingsAreAnsweredWithWhatIsProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pongs := make(chan wire.Up, 10)
		ping := func(p *peer) { p.send(wire.Ping{}); pongs <- p.hear() }
		next := make(chan struct{})
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{Seq: 4})
			ping(p)
			p.send(message(7, "7"))
			ping(p)
			<-next
			ping(p)
			p.stay()
		}))
		c := g.connect(Config{})
		take(t, c, 1)
		synctest.Wait()
		c.Ack()
		close(next)
		for _, want := range []uint64{4, 4, 7} {
			if pong, ok := (<-pongs).(wire.Pong); !ok || pong.Seq == nil || *pong.Seq != want {
				t.Errorf("pong = %#v, want seq %d", pong, want)
			}
		}
	})
}

func TestFramesThatCannotBeReadAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			for _, bad := range []string{"", "hello", "[]", `{"type":"data","seq":"x","data":0}`, `{"type":"news"}`, `{"type":"ack","id":"1"}`} {
				p.sendText(bad)
			}
			_ = p.conn.Write(p.request.Context(), 2, []byte("binary"))
			p.send(message(1, "1"))
			p.stay()
		}))
		c := g.connect(Config{})
		if got := take(t, c, 1); got[0] != "1" || len(g.dialed()) != 1 {
			t.Errorf("got %v on connection %d", got, len(g.dialed()))
		}
	})
}

func TestRedirectsKeepTheKeyAtItsHost(t *testing.T) {
	request := func(url string) *http.Request {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		from, to string
		follow   bool
	}{
		{"http://a.test/", "https://a.test/ws", true},
		{"http://a.test/", "http://a.test:5000/", true},
		{"https://a.test/", "https://a.test/ws", true},
		{"https://a.test/", "http://a.test/", false},
		{"http://a.test/", "http://b.test/", false},
		{"https://a.test/", "https://a.test.evil/", false},
	} {
		err := sameHost(request(c.to), []*http.Request{request(c.from)})
		if (err == nil) != c.follow {
			t.Errorf("%s -> %s: %v", c.from, c.to, err)
		}
	}
}

func TestADialThatFailsNamesNoAddressTwiceAndIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(idle))
		_ = g.listener.Close()
		var d diary
		_, err := g.tryConnect(withTimeout(t, time.Minute), Config{OnStatus: d.note})
		if err == nil || len(d.of(Waiting)) < 3 || !errors.Is(d.of(Waiting)[0].Reason, net.ErrClosed) {
			t.Errorf("Connect = %v after %d waits", err, len(d.of(Waiting)))
		}
	})
}

func TestAnAddressIsWhatPeopleWrite(t *testing.T) {
	for addr, want := range map[string]string{
		"gateway.example":              "wss://gateway.example/",
		"gateway.example:5000":         "wss://gateway.example:5000/",
		"gateway.example/ws":           "wss://gateway.example/ws",
		"localhost":                    "ws://localhost:5000/",
		"localhost:7000":               "ws://localhost:7000/",
		"127.0.0.1:5000":               "ws://127.0.0.1:5000/",
		"127.0.0.1":                    "ws://127.0.0.1:5000/",
		"[::1]":                        "ws://[::1]:5000/",
		"[::1]:5001/ws":                "ws://[::1]:5001/ws",
		"10.0.0.5:5000":                "wss://10.0.0.5:5000/",
		" ws://10.0.0.5:5000\n":        "ws://10.0.0.5:5000/",
		"http://gateway.example":       "ws://gateway.example/",
		"https://gateway.example/ws":   "wss://gateway.example/ws",
		"wss://gateway.example:8443/x": "wss://gateway.example:8443/x",
		"WSS://gateway.example":        "wss://gateway.example/",
		"wss://localhost":              "wss://localhost/",
	} {
		if got, err := Endpoint(addr); err != nil || got != want {
			t.Errorf("Endpoint(%q) = %q, %v, want %q", addr, got, err, want)
		}
	}
	for _, addr := range []string{
		"", "ftp://x", "wss://", "wss://user:pass@host", "wss://host?key=flk_secret", "wss://host#flk_secret", "user:flk_secret@host", "host:port:flk_secret", "://x",
	} {
		if got, err := Endpoint(addr); err == nil {
			t.Errorf("Endpoint(%q) = %q", addr, got)
		} else if text := fmt.Sprint(err); len(text) > 150 || containsSecret(text) {
			t.Errorf("Endpoint(%q): %v", addr, err)
		}
	}
}
