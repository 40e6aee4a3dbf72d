package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
)

func TestAStormOfTokensIsCheckedInFewQuestions(t *testing.T) {
	inSite(t, func(s *site) {
		const machines, perStep = 15_000, 5 // over 3 s
		for i := range machines {
			s.rows.add(fmt.Sprint("a", i), fmt.Sprint("k", i))
			s.rows.machines[fmt.Sprint("m", i)] = directory.Machine{ID: fmt.Sprint("m", i), AccountID: fmt.Sprint("a", i)}
		}
		s.rows.set(func() { s.rows.checks = nil })
		var fleet []*socket.MemoryPeer
		for i := range machines {
			tok, _, err := s.tokens.Mint(token.Claims{Machine: fmt.Sprint("m", i), Account: fmt.Sprint("a", i), Key: directory.Key(fmt.Sprint("k", i)).Digest()})
			if err != nil {
				t.Fatal(err)
			}
			p := s.dial()
			_ = p.WriteText(fmt.Appendf(nil, `{"type":"auth","v":1,"sessionToken":%q}`, tok))
			fleet = append(fleet, p)
			if i%perStep == perStep-1 {
				time.Sleep(time.Millisecond)
			}
		}
		synctest.Wait()
		time.Sleep(linger)
		synctest.Wait()
		s.rows.mu.Lock()
		checks := s.rows.checks
		s.rows.mu.Unlock()
		if len(checks) > 120 {
			t.Errorf("%d questions for %d tokens", len(checks), machines)
		}
		for _, ids := range checks {
			if len(ids) > askMost {
				t.Fatalf("a question about %d ids", len(ids))
			}
		}
		if n := s.g.hub.Len(); n != machines {
			t.Errorf("%d of %d were admitted", n, machines)
		}
		for _, p := range fleet {
			p.Drop()
		}
	})
}

func TestACrowdIsJudgedAtOnceWhenNobodyElseIsComing(t *testing.T) {
	inSite(t, func(s *site) {
		come := func() (all []*socket.MemoryPeer) {
			for range 2 * crowd {
				p := s.dial()
				s.say(p, auth("key-a"))
				all = append(all, p)
			}
			return all
		}
		answered := func(all []*socket.MemoryPeer) (n int) {
			synctest.Wait()
			for _, p := range all {
				n += p.Waiting()
			}
			return n
		}
		come()
		time.Sleep(2 * linger)
		all := come() // as a crowd
		time.Sleep(shortLull + glance)
		if n := answered(all); n != len(all) {
			t.Errorf("%d of %d are answered when nobody else is coming", n, len(all))
		}
		s.dial() // may apply yet
		all = come()
		time.Sleep(lull - glance)
		if n := answered(all); n != 0 {
			t.Errorf("%d are answered while somebody else is coming", n)
		}
		time.Sleep(2 * glance)
		if n := answered(all); n != len(all) {
			t.Errorf("%d of %d are answered after a lull", n, len(all))
		}
	})
}

func TestASweepOfManyAsksFewQuestions(t *testing.T) {
	a := &asker[directory.AccountAnswer]{
		breaker: &breaker{},
		verdict: func(a directory.AccountAnswer) directory.Verdict { return a.Verdict },
	}
	rows := newRows()
	var ids []string
	for i := range 15_000 {
		ids = append(ids, fmt.Sprint(i))
		rows.add(fmt.Sprint(i), "")
	}
	a.check = accountRows{rows}.Check
	heard := map[string]int{}
	comb(t.Context(), a, ids, func(id string, f finding[directory.AccountAnswer]) {
		if f.verdict != directory.Found || f.answer.Account.ID != id {
			t.Errorf("the answer for %q is %v for %q", id, f.verdict, f.answer.Account.ID)
		}
		heard[id]++
	})
	if len(heard) != len(ids) {
		t.Errorf("%d of %d ids were answered", len(heard), len(ids))
	}
	if len(rows.checks) > 120 {
		t.Errorf("%d questions", len(rows.checks))
	}
}

func TestWhileTheDirectoryFailsFewAskAndTheOthersComeBackSpread(t *testing.T) {
	inSite(t, func(s *site) {
		s.rows.set(func() { s.rows.outage = true })
		for range 200 { // one every 50 ms, for 10 s
			p := s.dial()
			s.say(p, `{"type":"auth","apiKey":"key-a","v":1}`)
			s.wantEnd(p, `{"type":"error","message":"The gateway cannot check keys at the moment.","code":"directory_unavailable","retryAfterMs":`, 4004)
			time.Sleep(50 * time.Millisecond)
		}
		if n := s.rows.lookups; n > breakAfter+11 {
			t.Errorf("a directory that does not answer was asked %d times in 10 s", n)
		}
		s.rows.set(func() { s.rows.outage = false })
		time.Sleep(probeEvery)
		s.login(s.dial(), auth("key-a"))
		s.login(s.dial(), auth("key-a"))
	})
}

func TestWhoWasAdmittedWithoutAnAnswerIsCheckedFirst(t *testing.T) {
	inSite(t, func(s *site) {
		all := s.fleet(300)
		late := all[7]
		late.peer.Drop()
		s.rows.set(func() { s.rows.outage = true })
		p := s.comeBack(late)
		if f := s.frame(p); f["type"] != "auth_success" {
			t.Fatalf("while the directory is away a token is answered with %v", f)
		}
		time.Sleep(3 * sweepEvery)
		s.wantOpen(p)
		s.remove(late)
		s.rows.set(func() { s.rows.outage, s.rows.checks = false, nil })
		time.Sleep(2 * sweepEvery)
		s.wantEnd(p, deletedFrameText, 4500)
		if first := s.rows.checks[0]; !slices.Contains(first, late.account) || len(first) > 1+controlsPerID {
			t.Errorf("the first question was about %d accounts: %s", len(first), strings.Join(first[:min(9, len(first))], " "))
		}
	})
}
