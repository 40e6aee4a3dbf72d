package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/socket"
)

// member is one account's machine, connected.
type member struct {
	account, machine, token string
	peer                    *socket.MemoryPeer
}

// fleet connects n machines, each of an account of its own.
func (s *site) fleet(n int) []member {
	all := make([]member, n)
	for i := range all {
		account := fmt.Sprintf("acc-%02d", i)
		s.rows.add(account, "key-"+account)
		p := s.dial()
		f := s.login(p, authV1("key-"+account, "hw"))
		all[i] = member{account: account, machine: f["machineId"].(string), token: f["sessionToken"].(string), peer: p}
		time.Sleep(time.Millisecond)
	}
	return all
}

// comeBack dials again with the token.
func (s *site) comeBack(m member) *socket.MemoryPeer {
	p := s.dial()
	s.say(p, fmt.Sprintf(`{"type":"auth","sessionToken":%q,"v":1,"machineId":%q}`, m.token, m.machine))
	time.Sleep(2 * linger) // many at once are judged together
	return p
}

// comeWithKey dials with the key it had.
func (s *site) comeWithKey(m member) *socket.MemoryPeer {
	p := s.dial()
	s.say(p, fmt.Sprintf(`{"type":"auth","apiKey":%q,"v":1,"machineId":%q,"machine":{"hwid":"hw"}}`, "key-"+m.account, m.machine))
	time.Sleep(2 * linger)
	return p
}

func (s *site) remove(accounts ...member) {
	s.rows.set(func() {
		for _, m := range accounts {
			delete(s.rows.accounts, m.account)
		}
	})
}

// buried are the accounts whose machines were deleted.
func (s *site) buried() []string {
	synctest.Wait()
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	return s.rows.buried
}

const heldText = `{"type":"error","message":"Access waits for proof.`

func TestTooManyDeletionsAtOnceAreHeldUntilTheyAreConfirmed(t *testing.T) {
	inSite(t, func(s *site) {
		all := s.fleet(40)
		gone := all[:25]
		s.remove(gone...)
		for _, m := range gone {
			s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: m.account})
		}
		told, held := gone[:brakeLeast], gone[brakeLeast:]
		for _, m := range told {
			s.wantEnd(m.peer, deletedFrameText, 4500)
		}
		for _, m := range held {
			s.wantEnd(m.peer, heldText, 4007)
		}
		for _, m := range all[25:] {
			s.wantOpen(m.peer)
		}
		time.Sleep(3 * sweepEvery)
		for _, m := range held {
			s.wantEnd(s.comeBack(m), heldText, 4007)
			s.wantEnd(s.comeWithKey(m), heldText, 4007)
		}
		if list := s.g.Held(); len(list) != len(held) || list[0].Kind != "account" || list[0].Why != whyBraked {
			t.Fatalf("held: %+v", list)
		}
		back := held[0]
		s.rows.add(back.account, "key-"+back.account) // it was a mistake for this one
		done := s.g.Confirm(t.Context(), func(h Held) bool { return true })
		if done != (Confirmed{Deleted: len(held) - 1, Present: 1}) {
			t.Errorf("confirmed: %+v", done)
		}
		s.wantOpen(s.comeWithKey(back))
		for _, m := range held[1:] {
			s.wantEnd(s.comeBack(m), deletedFrameText, 4500)
		}
		if list := s.g.Held(); len(list) > 0 {
			t.Errorf("still held: %+v", list)
		}
	})
}

func TestDeletionsThatWereAskedForAreNeverBraked(t *testing.T) {
	inSite(t, func(s *site) {
		all := s.fleet(30)
		s.remove(all...)
		for _, m := range all {
			s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: m.account, Asked: true})
			s.wantEnd(m.peer, deletedFrameText, 4500)
		}
	})
}

func TestADeletionNobodyReportedIsBelievedBesideRowsThatAreThere(t *testing.T) {
	for _, c := range []struct {
		name string
		come func(*site, member) *socket.MemoryPeer
	}{{"by token", (*site).comeBack}, {"by key", (*site).comeWithKey}} {
		t.Run(c.name, func(t *testing.T) {
			inSite(t, func(s *site) {
				all := s.fleet(10)
				gone := all[3]
				gone.peer.Drop()
				s.remove(gone)
				s.wantEnd(c.come(s, gone), deletedFrameText, 4500)
				s.wantEnd(c.come(s, gone), deletedFrameText, 4500)
				if buried := s.buried(); len(buried) != 1 || buried[0] != gone.account {
					t.Errorf("the machines of %q were deleted", buried)
				}
				s.wantOpen(all[4].peer)
			})
		})
	}
}

func TestAnAbsenceThatNothingVouchesForIsHeld(t *testing.T) {
	inSite(t, func(s *site) {
		all := s.fleet(3) // too few to vouch for one another
		gone := all[0]
		gone.peer.Drop()
		s.remove(gone)
		for range 2 {
			s.wantEnd(s.comeBack(gone), heldText, 4007)
			s.wantEnd(s.comeWithKey(gone), heldText, 4007)
		}
		if list := s.g.Held(); len(list) != 1 || list[0].ID != gone.account || list[0].Why != whyUnproven {
			t.Fatalf("held: %+v", list)
		}
		s.rows.add(gone.account, "key-"+gone.account)
		s.wantOpen(s.comeBack(gone))
		if list := s.g.Held(); len(list) > 0 {
			t.Errorf("still held: %+v", list)
		}
	})
}

func TestWhatIsHeldIsSaidWhenALaterAnswerIsCredible(t *testing.T) {
	inSite(t, func(s *site) {
		gone := s.fleet(1)[0]
		gone.peer.Drop()
		s.remove(gone)
		s.wantEnd(s.comeBack(gone), heldText, 4007)
		for i := range 8 {
			s.rows.add(fmt.Sprint(i), fmt.Sprint("key", i))
			s.login(s.dial(), authV1(fmt.Sprint("key", i), "hw"))
		}
		time.Sleep(2 * sweepEvery)
		s.wantEnd(s.comeBack(gone), deletedFrameText, 4500)
	})
}

func TestAProjectPointedAtByMistakeTellsNobody(t *testing.T) {
	for _, c := range []struct {
		name string
		rows map[string]directory.Account
	}{
		{"an empty table", nil},
		{"another table", map[string]directory.Account{"stranger": {ID: "stranger"}}},
		{"a copy with a third of the rows", map[string]directory.Account{
			"acc-00": {ID: "acc-00"}, "acc-01": {ID: "acc-01"}, "acc-02": {ID: "acc-02"}, "acc-03": {ID: "acc-03"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSite(t, func(s *site) {
				all := s.fleet(12)
				s.rows.set(func() {
					for id := range c.rows {
						c.rows[id] = s.rows.accounts[id]
					}
					s.rows.accounts = c.rows
				})
				time.Sleep(2 * sweepEvery)
				for _, m := range all {
					for _, p := range []*socket.MemoryPeer{m.peer, s.comeBack(m), s.comeWithKey(m)} {
						for b, ok := p.Next(); ok; b, ok = p.Next() {
							if string(b) == deletedFrameText {
								t.Fatalf("%s was told that it was deleted", m.account)
							}
						}
						if how, _ := p.Closure(); how.Code >= 4500 && how.Code < 5000 {
							t.Fatalf("%s was ended for good: %d %s", m.account, how.Code, how.Reason)
						}
					}
				}
			})
		})
	}
}

func TestTheMachinesOfADeletedAccountAreDeletedEvenIfItTakesLong(t *testing.T) {
	inSite(t, func(s *site) {
		all := s.fleet(2)
		s.remove(all[0])
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: all[0].account})
		s.wantEnd(all[0].peer, deletedFrameText, 4500)
		s.remove(all[1])
		s.ledger.fail = true
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: all[1].account})
		s.wantEnd(all[1].peer, deletedFrameText, 4500)
		s.ledger.mu.Lock()
		s.ledger.fail = false
		s.ledger.mu.Unlock()
		time.Sleep(2 * revokePause)
		if buried := s.buried(); len(buried) != 2 {
			t.Errorf("the machines of %q were deleted", buried)
		}
	})
}

func TestARowThatCameBackIsNewToTheNextAbsence(t *testing.T) {
	inSite(t, func(s *site) {
		m := s.fleet(1)[0]
		s.report(accountSubject, directory.Event{Kind: directory.Gone, ID: m.account}) // and inserted again at once
		s.wantEnd(m.peer, heldText, 4007)
		again := s.comeWithKey(m)
		m.token = s.frame(again)["sessionToken"].(string)
		again.Drop()
		time.Sleep(2 * time.Minute) // the token is younger than the deletion and the slack
		s.remove(m)
		s.wantEnd(s.comeBack(m), heldText, 4007)
	})
}
