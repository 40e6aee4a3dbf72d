package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/socket"
)

func (s *site) report(kind subjectKind, e directory.Event) {
	which := 0
	if kind == machineSubject {
		which = 1
	}
	s.rows.news[which] <- e
	synctest.Wait()
}

func TestADeletedMachineIsToldAtOnceAndItsTokenIsRefused(t *testing.T) {
	inSite(t, func(s *site) {
		p, other := s.dial(), s.dial()
		f := s.login(p, authV1("key-a", "hw"))
		s.login(other, authV1("key-a", "hw2"))
		s.rows.set(func() { delete(s.rows.machines, "m-a-hw") })
		s.report(machineSubject, directory.Event{Kind: directory.Gone, ID: "m-a-hw"})
		s.wantEnd(p, deletedFrameText, 4500)
		s.wantOpen(other)
		if len(s.ledger.kept) != 1 || s.ledger.kept[0].ID != "m-a-hw" {
			t.Errorf("stored revocations: %+v", s.ledger.kept)
		}
		s.rows.set(func() { s.rows.outage = true })
		late := s.dial()
		s.say(late, fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, f["sessionToken"]))
		s.wantEnd(late, `{"type":"auth_failed"`, 4005)
	})
}

func TestADeletionThatIsReportedWithProofIsSaidWithoutAnotherRead(t *testing.T) {
	inSite(t, func(s *site) {
		p, other := s.dial(), s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.login(other, authV1("key-a", "hw2"))
		s.rows.set(func() { s.rows.outage = true })
		s.report(machineSubject, directory.Event{Kind: directory.Gone, ID: "m-a-hw", Asked: true, Proven: true})
		s.wantEnd(p, deletedFrameText, 4500)
		s.wantOpen(other)
		if len(s.ledger.kept) != 1 || s.ledger.kept[0].ID != "m-a-hw" {
			t.Errorf("stored revocations: %+v", s.ledger.kept)
		}
	})
}

func TestWithoutProofACutSessionIsHeldAfterTwoSecondsAndKeepsItsKey(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.rows.set(func() { s.rows.outage = true })
		s.report(machineSubject, directory.Event{Kind: directory.Gone, ID: "m-a-hw"})
		s.g.hub.OfMachine("m-a-hw")[0].Send(socket.Prepare([]byte("x")))
		time.Sleep(proofTimeout - time.Millisecond)
		s.wantOpen(p)
		if b, ok := p.Next(); ok {
			t.Errorf("got %s after the cut", b)
		}
		time.Sleep(time.Millisecond)
		s.wantEnd(p, `{"type":"error","message":"Access waits for proof. Keep your key.","code":"held","retryAfterMs":`, 4007)
	})
}

func TestARowThatIsThereAgainIsNotCalledDeleted(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.report(machineSubject, directory.Event{Kind: directory.Gone, ID: "m-a-hw"}) // deleted and inserted in one transaction
		s.wantEnd(p, `{"type":"error","message":"Access waits for proof.`, 4007)
		s.login(s.dial(), authV1("key-a", "hw"))
	})
}

func TestDeletingAnAccountEndsAllItsMachines(t *testing.T) {
	inSite(t, func(s *site) {
		s.rows.add("b", "key-b")
		one, two, bare, other := s.dial(), s.dial(), s.dial(), s.dial()
		s.login(one, authV1("key-a", "1"))
		s.login(two, authV1("key-a", "2"))
		s.login(bare, auth("key-a"))
		s.login(other, auth("key-b"))
		s.rows.set(func() { delete(s.rows.accounts, "a") })
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: "a"})
		for _, p := range []*socket.MemoryPeer{one, two, bare} {
			s.wantEnd(p, deletedFrameText, 4500)
		}
		s.wantOpen(other)
	})
}

func TestAReadThatBeganBeforeTheDeletionProvesNothing(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		slow := make(chan struct{})
		s.rows.set(func() { s.rows.slow = slow })
		s.report(accountSubject, directory.Event{Kind: directory.Changed, ID: "a"}) // a read is on its way: found
		s.rows.set(func() { delete(s.rows.accounts, "a") })
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: "a"})
		close(slow)
		s.wantEnd(p, deletedFrameText, 4500)
	})
}

func TestAChangedKeyEndsTheSessionsOfTheOldOne(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		f := s.login(p, authV1("key-a", "hw"))
		s.rows.add("a", "key-new")
		s.report(accountSubject, directory.Event{Kind: directory.Changed, ID: "a"})
		s.wantEnd(p, `{"type":"auth_failed","message":"Invalid API Key","code":"bad_key"}`, 4501)
		late := s.dial()
		s.say(late, fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, f["sessionToken"]))
		s.wantEnd(late, `{"type":"auth_failed"`, 4005)
		renewed := s.dial()
		s.login(renewed, authV1("key-new", "hw"))
		s.report(accountSubject, directory.Event{Kind: directory.Changed, ID: "a"})
		s.wantOpen(renewed)
	})
}

func TestAMachineDeletedWhileItsKeyIsJudgedIsNotAdmitted(t *testing.T) {
	for _, c := range []struct {
		name string
		kind subjectKind
		id   string
	}{{"the machine", machineSubject, "m-a-hw"}, {"the account", accountSubject, "a"}} {
		t.Run(c.name, func(t *testing.T) {
			inSite(t, func(s *site) {
				hold := make(chan struct{})
				s.rows.set(func() { s.rows.hold = hold })
				p := s.dial()
				s.say(p, authV1("key-a", "hw")) // the lookup has read the row and is on its way back
				s.rows.set(func() { delete(s.rows.accounts, "a") })
				s.report(c.kind, directory.Event{Kind: directory.Gone, ID: c.id})
				close(hold)
				synctest.Wait()
				b, _ := p.Next()
				if strings.Contains(string(b), "auth_success") {
					t.Fatalf("it was admitted: %s", b)
				}
				if how, closed := p.Closure(); !closed || how.Code != 4500 && how.Code != 4007 {
					t.Errorf("closed %v with %d %q", closed, how.Code, how.Reason)
				}
			})
		})
	}
}

func TestAChangeIsNoReportOfADeletion(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.rows.set(func() { delete(s.rows.machines, "m-a-hw") })
		s.g.hub.OfMachine("m-a-hw")[0].Cut() // as whoever is judged while something comes in
		s.report(machineSubject, directory.Event{Kind: directory.Changed, ID: "m-a-hw"})
		s.wantEnd(p, heldText, 4007)
	})
}

func TestADoubtThatComesWhileAReadHangsIsSettledInTime(t *testing.T) {
	inSite(t, func(s *site) {
		s.rows.add("b", "key-b")
		one, two := s.dial(), s.dial()
		s.login(one, authV1("key-a", "hw"))
		s.login(two, authV1("key-b", "hw"))
		s.rows.set(func() { s.rows.slow = make(chan struct{}) }) // nothing comes back
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: "a"})
		time.Sleep(proofTimeout / 2)
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: "b"})
		time.Sleep(proofTimeout / 2)
		s.wantEnd(one, heldText, 4007)
		s.wantOpen(two)
		time.Sleep(proofTimeout / 2)
		s.wantEnd(two, heldText, 4007)
	})
}

func TestARevocationThatTheLogDoesNotTakeIsInForceAndTriedAgain(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		f := s.login(p, authV1("key-a", "hw"))
		s.ledger.fail = true
		s.rows.set(func() { delete(s.rows.machines, "m-a-hw") })
		s.report(machineSubject, directory.Event{Kind: directory.Gone, ID: "m-a-hw"})
		s.wantEnd(p, deletedFrameText, 4500)
		s.rows.set(func() { s.rows.outage = true })
		late := s.dial()
		s.say(late, fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1}`, f["sessionToken"]))
		s.wantEnd(late, `{"type":"auth_failed"`, 4005)
		if reasons := strings.Join(s.g.NotReady(), ";"); !strings.Contains(reasons, "1 revocations are in force here but not yet stored") {
			t.Errorf("not ready because of %q", reasons)
		}
		time.Sleep(3 * revokePause)
		synctest.Wait()
		s.ledger.mu.Lock()
		tries := s.ledger.tries
		s.ledger.fail = false
		s.ledger.mu.Unlock()
		if tries != 4 {
			t.Errorf("%d tries in 3 s, want 4", tries)
		}
		time.Sleep(revokePause)
		synctest.Wait()
		if reasons := s.g.NotReady(); len(reasons) > 0 || len(s.ledger.kept) != 1 {
			t.Errorf("after the log is back: not ready because of %v, stored %v", reasons, s.ledger.kept)
		}
	})
}

func TestARevocationHeardThroughTheLogEndsTheSessionHere(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.rows.set(func() { delete(s.rows.machines, "m-a-hw") })
		now := time.Now()
		s.journal.entries <- &broker.Entry{Kind: broker.Revoked, Seq: 1,
			Revocation: &broker.Revocation{Kind: broker.RevokedMachine, ID: "m-a-hw", At: now, Until: now.Add(time.Hour)}}
		s.wantEnd(p, deletedFrameText, 4500)
	})
}

func TestAnEmptyAnswerToASweepDeletesNobody(t *testing.T) {
	inSite(t, func(s *site) {
		var fleet []*socket.MemoryPeer
		for i := range 10 {
			p := s.dial()
			s.login(p, authV1("key-a", fmt.Sprint(i)))
			fleet = append(fleet, p)
		}
		saved := s.rows.accounts
		s.rows.set(func() { s.rows.accounts, s.rows.machines = nil, nil }) // pointed at another, empty database
		time.Sleep(2 * sweepEvery)
		for _, p := range fleet {
			s.wantEnd(p, `{"type":"error","message":"Access waits for proof.`, 4007)
		}
		s.rows.set(func() { s.rows.accounts, s.rows.machines = saved, make(map[string]directory.Machine) })
		s.login(s.dial(), authV1("key-a", "1"))
	})
}

func TestASweepFindsWhatNobodyReported(t *testing.T) {
	inSite(t, func(s *site) {
		var fleet []*socket.MemoryPeer
		for i := range 10 {
			p := s.dial()
			s.login(p, authV1("key-a", fmt.Sprint(i)))
			fleet = append(fleet, p)
		}
		s.rows.set(func() { delete(s.rows.machines, "m-a-3") })
		time.Sleep(2 * sweepEvery)
		s.wantEnd(fleet[3], deletedFrameText, 4500)
		s.wantOpen(fleet[4])
	})
}

func TestAnOutageEndsNobody(t *testing.T) {
	inSite(t, func(s *site) {
		p := s.dial()
		s.login(p, authV1("key-a", "hw"))
		s.rows.set(func() { s.rows.outage = true })
		s.report(accountSubject, directory.Event{Kind: directory.Lost, Err: fmt.Errorf("the connection broke")})
		for range 60 {
			time.Sleep(time.Second)
			p.Touch()
		}
		s.wantOpen(p)
	})
}
