package gateway

import (
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
)

func TestARevocationRefusesTokensIssuedBeforeItOnly(t *testing.T) {
	key := directory.Key("k").Digest()
	now := time.Now()
	claims := func(issued time.Time) tokenClaims {
		return tokenClaims{Machine: "m", Account: "a", Key: key, IssuedAt: issued}
	}
	for _, s := range []subject{{machineSubject, "m"}, {accountSubject, "a"}, keyOf("a", key)} {
		r := newRefusedSet()
		r.add(s, now, now.Add(time.Hour))
		if !r.token(claims(now.Add(-time.Second))) || !r.token(claims(now.Add(issueSlack-time.Second))) {
			t.Errorf("%s: a token issued before the revocation, or within the clocks' slack, was admitted", s.kind)
		}
		if r.token(claims(now.Add(issueSlack + time.Second))) {
			t.Errorf("%s: a token issued after the revocation was refused", s.kind)
		}
	}
	r := newRefusedSet()
	r.add(subject{machineSubject, "other"}, now, now.Add(time.Hour))
	if r.token(claims(now)) {
		t.Error("another machine's revocation refused the token")
	}
}

func TestWhoeverWasJudgedMeanwhileIsFound(t *testing.T) {
	who := session.Identity{Machine: "m", Account: "a", Key: directory.Key("k").Digest()}
	r := newRefusedSet()
	r.add(subject{machineSubject, "m"}, time.Now(), time.Now().Add(time.Hour))
	v := r.version()
	if r.since(v, who) {
		t.Error("a revocation before the reading counted as one after it")
	}
	r.note(subject{accountSubject, "a"}, time.Now().Add(time.Hour))
	if !r.since(v, who) {
		t.Error("a change of the account after the reading was not found")
	}
	if r.token(tokenClaims{Machine: "n", Account: "a", IssuedAt: time.Now().Add(-time.Hour)}) {
		t.Error("a change that is no revocation refused a token")
	}
}

func TestARevocationIsNeverWeakenedByAnEarlierOne(t *testing.T) {
	r := newRefusedSet()
	s := subject{machineSubject, "m"}
	now := time.Now()
	r.add(s, now, now.Add(time.Hour))
	r.add(s, now.Add(-time.Hour), now.Add(time.Minute))
	r.note(s, now.Add(time.Second))
	r.forget(now.Add(30 * time.Minute))
	if !r.token(tokenClaims{Machine: "m", IssuedAt: now.Add(-time.Second)}) {
		t.Error("a later, weaker entry replaced the revocation")
	}
	r.forget(now.Add(2 * time.Hour))
	if len(r.entries) != 0 {
		t.Error("the entry outlived every token it could refuse")
	}
}
