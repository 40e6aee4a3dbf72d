package gateway

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

func TestAConnectionThatSaysNothingIsEndedAfterTenSeconds(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		time.Sleep(wire.AuthTimeout - 100*time.Millisecond)
		s.wantOpen(p)
		time.Sleep(100 * time.Millisecond)
		s.wantEnd(p, `{"type":"error","message":"No auth frame came in time."}`, 4000)
	})
}

func TestAKeyThatTheDirectoryDoesNotAnswerForIsToldToComeBack(t *testing.T) {
	inSite(t, func(s *site) {
		s.rows.set(func() { s.rows.outage = true })
		p := s.dial()
		s.say(p, auth("key-a"))
		s.wantEnd(p, `{"type":"error","message":"The gateway cannot check keys at the moment.`, 4004)

		hold := make(chan struct{})
		s.rows.set(func() { s.rows.outage, s.rows.hold = false, hold })
		p = s.dial()
		s.say(p, auth("key-a"))
		time.Sleep(judgeTimeout)
		s.wantEnd(p, `{"type":"error"`, 4004)
	})
}

func TestTheFixedBlockIsAnsweredToTheLetter(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		f := s.login(p, auth("key-a"))
		if got := slices.Sorted(maps.Keys(f)); !slices.Equal(got, []string{"message", "sessionToken", "type"}) {
			t.Errorf("auth_success has the fields %v", got)
		}
		if f["message"] != "Authentication successful" {
			t.Errorf("message %q", f["message"])
		}
		p = s.dial()
		s.say(p, auth("no such key"))
		s.wantEnd(p, `{"type":"auth_failed","message":"Invalid API Key"}`, 4501)
	})
}

func TestAClientWithAVersionIsToldEverything(t *testing.T) {
	inSite(t, func(s *site) {
		f := s.login(s.dial(), authV1("key-a", "hw"))
		want := []string{"epoch", "expiresAt", "heartbeatSeconds", "machineId", "message", "recovered", "seq", "sessionId", "sessionToken", "type"}
		if got := slices.Sorted(maps.Keys(f)); !slices.Equal(got, want) {
			t.Errorf("auth_success has the fields %v, want %v", got, want)
		}
		p := s.dial()
		s.say(p, `{"type":"auth","apiKey":"no such key","v":1}`)
		s.wantEnd(p, `{"type":"auth_failed","message":"Invalid API Key","code":"bad_key"}`, 4501)
	})
}

func TestFaultyInputGetsItsAnswer(t *testing.T) {
	for _, c := range []struct{ name, frame, answer string }{
		{"broken JSON", `{"type":"auth"`, "not valid JSON"},
		{"no object", `["auth"]`, "not a JSON object"},
		{"no type", `{"apiKey":"k"}`, "type is missing"},
		{"a repeated field", `{"type":"auth","apiKey":"key-a","apiKey":"k"}`, "twice"},
		{"a mistyped key", `{"type":"auth","apiKey":7}`, "apiKey must be a string"},
		{"no key", `{"type":"auth"}`, "auth needs apiKey or sessionToken"},
		{"a key and a token", `{"type":"auth","apiKey":"k","sessionToken":"t"}`, "not both"},
		{"a machine without hwid", `{"type":"auth","apiKey":"key-a","machine":{}}`, "machine.hwid is missing"},
		{"another frame first", `{"type":"pong"}`, "The first frame must be auth."},
		{"an unknown frame first", `{"type":"hello"}`, "The first frame must be auth."},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSite(t, func(s *site) {
				p := s.dial()
				s.say(p, c.frame)
				b, _ := p.Next()
				if !strings.HasPrefix(string(b), `{"type":"error"`) || !strings.Contains(string(b), c.answer) {
					t.Errorf("got %s, want an error with %q", b, c.answer)
				}
				s.wantEnd(p, "", 4503)
			})
		})
	}
}

func TestFaultyInputOnASessionIsAnsweredAndTheSessionGoesOn(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		for frame, code := range map[string]wire.Code{
			`{"type":`:                         wire.CodeBadFrame,
			authV1("key-a", "hw"):              wire.CodeAlreadyAuthenticated,
			`{"type":"data","id":"1"}`:         wire.CodeUnsupported,
			`{"type":"result","id":"1"}`:       wire.CodeUnsupported,
			`{"type":"system_info","os":true}`: wire.CodeBadFrame,
		} {
			s.say(p, frame)
			if f := s.frame(p); f["type"] != "error" || f["code"] != string(code) {
				t.Errorf("%s was answered with %v, want %s", frame, f, code)
			}
		}
		s.say(p, `{"type":"something new"}`)
		s.say(p, `{"type":"system_info","os":"linux","later":1}`)
		if b, ok := p.Next(); ok {
			t.Errorf("an unknown type or field was answered with %s", b)
		}
		s.wantOpen(p)
		_ = p.WriteBinary([]byte{1})
		s.wantEnd(p, `{"type":"error","message":"Binary frames are not part of the protocol.","code":"not_text"}`, 1003)
	})
}

func TestMessagesOverTheRateAreAnsweredOnceAndThenEndTheSession(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		for range 1000 {
			s.say(p, `{"type":"pong"}`) // does not count
		}
		for range messageBurst {
			s.say(p, `{"type":"hello"}`)
		}
		if b, ok := p.Next(); ok {
			t.Fatalf("within the burst: %s", b)
		}
		s.say(p, `{"type":"hello"}`)
		f := s.frame(p)
		if f["code"] != "rate_limited" || f["retryAfterMs"].(float64) <= 0 {
			t.Fatalf("over the burst: %v", f)
		}
		time.Sleep(time.Second)
		s.say(p, `{"type":"hello"}`)
		s.wantOpen(p)
		for range messageBurst + overMost + 20 {
			s.say(p, `{"type":"hello"}`)
		}
		s.wantEnd(p, `{"type":"error","message":"Rate limit exceeded.`, 4002)
	})
}

func TestAGoodbyeIsTakenOverAnyRate(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		for range messageBurst + 1 {
			s.say(p, `{"type":"hello"}`)
		}
		s.say(p, `{"type":"disconnect"}`)
		s.wantEnd(p, `{"type":"error","message":"Rate limit exceeded.`, 1000)
	})
}

func TestFailedAttemptsAreLimitedAndGoodKeysAreNot(t *testing.T) {
	inSite(t, func(s *site) {
		for range failuresPerKey {
			p := s.dial()
			s.say(p, auth("wrong"))
			s.wantEnd(p, `{"type":"auth_failed"`, 4501)
		}
		p := s.dial()
		s.say(p, `{"type":"auth","apiKey":"wrong","v":1}`)
		s.wantEnd(p, `{"type":"error","message":"Rate limit exceeded.","code":"rate_limited","retryAfterMs":`, 4002)
		for i := range failuresPerAddress {
			s.say(s.dial(), auth(fmt.Sprint("wrong ", i)))
		}
		time.Sleep(2 * linger) // so many at once are judged together
		p = s.dial()
		s.say(p, auth("wrong too"))
		time.Sleep(2 * linger)
		s.wantEnd(p, `{"type":"error","message":"Rate limit exceeded. Try again in `, 4002)
		s.login(s.dial(), auth("key-a")) // behind the same NAT
	})
}

func TestUnauthenticatedConnectionsAreCappedByAddress(t *testing.T) {
	inSite(t, func(s *site) {
		for range waitingPerAddress {
			s.dial()
		}
		synctest.Wait()
		p := s.dial()
		s.wantEnd(p, `{"type":"error","message":"There are too many connections.`, 4003)
		other := s.engine.Dial(socket.Peer{Addr: netip.MustParseAddr("192.0.2.2")})
		s.login(other, auth("key-a"))
		time.Sleep(wire.AuthTimeout + time.Second)
		s.login(s.dial(), auth("key-a"))
	})
}

func TestANinthSessionOfAnEnrolledMachineComesBackLater(t *testing.T) {
	inSite(t, func(s *site) {
		for range sessionsPerMachine {
			s.login(s.dial(), authV1("key-a", "hw"))
		}
		p := s.dial()
		s.say(p, authV1("key-a", "hw"))
		s.wantEnd(p, `{"type":"error","message":"There are too many connections.","code":"too_many_connections","retryAfterMs":`, 4003)
		for range 20 {
			s.login(s.dial(), auth("key-a")) // old clients share a key
		}
	})
}

func TestATokenAdmitsWithoutTheKey(t *testing.T) {
	inSite(t, func(s *site) {
		f := s.login(s.dial(), authV1("key-a", "hw"))
		resume := fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, f["sessionToken"])
		if again := s.login(s.dial(), resume); again["machineId"] != f["machineId"] {
			t.Errorf("the token led to machine %v, the key to %v", again["machineId"], f["machineId"])
		}
		s.rows.set(func() { s.rows.outage = true })
		s.login(s.dial(), resume) // on its signature alone
		s.rows.set(func() { s.rows.outage = false })
		for name, tok := range map[string]string{"rubbish": "rubbish", "old": f["sessionToken"].(string)} {
			if name == "old" {
				time.Sleep(16 * time.Minute)
			}
			p := s.dial()
			s.say(p, fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, tok))
			s.wantEnd(p, `{"type":"auth_failed","message":"Invalid session token","code":"bad_token"}`, 4005)
		}
	})
}

func TestANodeThatDoesNotHearTheLogAdmitsNobodyByTokenAndThenSendsAllElsewhere(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		f := s.login(p, authV1("key-a", "hw"))
		resume := fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, f["sessionToken"])
		s.journal.goDeaf()
		time.Sleep(leaseLost)
		s.login(s.dial(), resume)
		time.Sleep(time.Millisecond)
		late := s.dial()
		s.say(late, resume)
		s.wantEnd(late, `{"type":"error"`, 4004)
		if len(s.g.NotReady()) == 0 {
			t.Error("the node says that it is ready")
		}
		time.Sleep(leaseGone - leaseLost - 2*time.Millisecond)
		s.wantOpen(p)
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		how, _ := p.Closure()
		if how.Code != 1012 || !strings.HasPrefix(how.Reason, "drain; retryAfterMs=") {
			t.Errorf("closed with %d %q, want 1012 drain", how.Code, how.Reason)
		}
	})
}

func TestATailThatIsLateBecauseOfABurstSendsNobodyAway(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.journal.goDeaf()
		taken := time.Now()
		for range 20 { // a second each, all of one moment
			time.Sleep(time.Second)
			p.Touch()
			s.journal.entries <- &broker.Entry{Kind: broker.Beat, Seq: uint64(time.Since(taken)), At: taken}
		}
		s.wantOpen(p)
		time.Sleep(leaseLost + 200*time.Millisecond) // now nothing comes any more
		if how, _ := p.Closure(); how.Code != 1012 {
			t.Errorf("closed with %d %q, want 1012", how.Code, how.Reason)
		}
	})
}

func TestAFreshTokenIsPushedAtTwoThirdsOfTheOldOnesLife(t *testing.T) {
	inSite(t, func(s *site) {
		p, bare := s.dial(), s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.login(bare, auth("key-a"))
		start := time.Now()
		var pushed []time.Duration
		for time.Since(start) < 11*time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			for b, ok := bare.Next(); ok; b, ok = bare.Next() {
				if string(b) != `{"type":"ping"}` {
					t.Fatalf("a client without a version got %s", b)
				}
				bare.Touch()
			}
			for b, ok := p.Next(); ok; b, ok = p.Next() {
				p.Touch()
				if strings.HasPrefix(string(b), `{"type":"token"`) {
					pushed = append(pushed, time.Since(start))
				}
			}
		}
		if len(pushed) != 1 || pushed[0] != 10*time.Minute {
			t.Errorf("tokens pushed after %v, want 10m", pushed)
		}
	})
}

func TestADrainTellsEverybodyToComeBackWithASpreadDelay(t *testing.T) {
	inSite(t, func(s *site) {
		var fleet []*socket.MemoryPeer
		for i := range 50 {
			p := s.dial()
			s.login(p, authV1("key-a", fmt.Sprint(i)))
			time.Sleep(time.Millisecond) // one by one, not a crowd that is judged together
			fleet = append(fleet, p)
		}
		s.g.Drain(s.t.Context())
		delays := make(map[string]bool)
		for _, p := range fleet {
			how, _ := p.Closure()
			if how.Code != 1012 || !strings.HasPrefix(how.Reason, "drain; retryAfterMs=") {
				t.Fatalf("closed with %d %q", how.Code, how.Reason)
			}
			delays[how.Reason] = true
		}
		if len(delays) < 25 {
			t.Errorf("50 machines were given %d different delays", len(delays))
		}
		p := s.dial()
		s.say(p, auth("key-a"))
		s.wantEnd(p, `{"type":"error","message":"The gateway is restarting.`, 1012)
	})
}
