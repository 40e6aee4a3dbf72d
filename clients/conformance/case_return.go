package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func returnCases() []Case {
	var list []Case
	for _, code := range []wire.CloseCode{
		1000, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 1013, 3000,
		4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4099, 4499,
	} {
		list = append(list, Case{
			Name: fmt.Sprintf("return/close-%d", code),
			Why:  "Every close code but 4500 to 4999 comes back, with its key and its position.",
			Play: func(st *stage) { comesBackAfter(st, code) },
		})
	}
	return append(list,
		Case{Name: "return/before-auth", Why: "A close as the answer to auth is no verdict either, unless its code is.", Play: comesBackFromARefusal},
		Case{Name: "return/held-frame", Why: "auth_failed with another code than bad_key is no verdict on the key.", Play: comesBackFromAuthFailed},
		Case{Name: "return/drain", Why: "The reason `drain; retryAfterMs=N` is honoured.", Play: drainIsHonoured},
		Case{Name: "return/retry-after-frame", Why: "retryAfterMs in an error before the close is honoured.", Play: retryAfterInAnErrorIsHonoured},
		Case{Name: "return/retry-after-refusal", Why: "retryAfterMs in auth_failed is honoured.", Play: retryAfterInARefusalIsHonoured},
		Case{Name: "return/back-off", Why: "Waits are random, between 0 and 1, 2, 4, 8 s: what ended one session has ended everybody's.", Play: waitsAreRandomAndGrow, Long: true},
	)
}

func comesBackAfter(st *stage, code wire.CloseCode) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	p.shows(5)
	l.close(code, string(code.Code()))
	l = st.auth()
	st.check(position(l.auth) == "e1:5", "after close %d the position is %s, want e1:5", code, position(l.auth))
	l.welcome(wire.Welcome{Seq: 5, Recovered: true})
	l.data(6, `0`)
	p.shows(6)
}

func comesBackFromARefusal(st *stage) {
	p := st.start()
	for _, code := range []wire.CloseCode{4004, 4007} {
		l := st.auth()
		l.send(wire.Error{Message: "Not now", Code: code.Code()})
		l.close(code, string(code.Code()))
	}
	l := st.letIn(wire.Welcome{})
	st.check(l.auth.APIKey == st.key, "the program came back with %s", l.cameWith(""))
	l.data(1, `0`)
	p.shows(1)
}

func comesBackFromAuthFailed(st *stage) {
	p := st.start()
	for _, code := range []wire.Code{wire.CodeHeld, "no_such_code"} {
		l := st.auth()
		l.send(wire.AuthFailed{Message: "Access waits for proof", Code: code})
		l.cut()
	}
	l := st.letIn(wire.Welcome{})
	st.check(l.auth.APIKey == st.key, "the program came back with %s", l.cameWith(""))
	l.data(1, `0`)
	p.shows(1)
}

const asked = 2500 * time.Millisecond

func drainIsHonoured(st *stage) {
	st.comesBackLate(func(c *call) {
		l := c.upgrade()
		l.hearAuth()
		l.welcome(wire.Welcome{})
		l.close(wire.CloseRestart, "drain; retryAfterMs=2500; later=fields")
	}, asked)
}

func retryAfterInAnErrorIsHonoured(st *stage) {
	st.comesBackLate(func(c *call) {
		l := c.upgrade()
		l.hearAuth()
		l.send(wire.Error{Message: "Rate limit exceeded. Slow down.", Code: wire.CodeRateLimited, RetryAfterMs: asked.Milliseconds()})
		l.close(wire.CloseRateLimited, string(wire.CodeRateLimited))
	}, asked)
}

func retryAfterInARefusalIsHonoured(st *stage) {
	st.comesBackLate(func(c *call) {
		l := c.upgrade()
		l.hearAuth()
		l.send(wire.AuthFailed{Message: "Too many attempts", Code: wire.CodeRateLimited, RetryAfterMs: asked.Milliseconds()})
		l.cut()
	}, asked)
}

// How many clients are cut together, and how often.
const (
	crowd  = 8
	rounds = 4
)

func waitsAreRandomAndGrow(st *stage) {
	all := make([]chan []time.Duration, crowd)
	for i := range all {
		g := st.open()
		st.startAt(g.url(), fmt.Sprintf("%s/%d", st.dir, i))
		all[i] = make(chan []time.Duration, 1)
		go func() { all[i] <- g.turnAway(rounds) }() // ends with the waits of its gateway, which have an end
	}
	var first []time.Duration
	var late time.Duration
	for _, waits := range all {
		w := <-waits
		st.check(len(w) == rounds, "a program came back %d times, want %d", len(w), rounds)
		for i, wait := range w {
			ceiling := time.Second << i
			st.check(wait <= ceiling+st.suite.patience, "the wait %d was %v, may be %v", i+1, wait, ceiling)
		}
		first = append(first, w[0])
		late += w[2] + w[3]
	}
	slices.Sort(first)
	spread := first[crowd-1] - first[0]
	st.check(spread > 100*time.Millisecond, "%d programs came back within %v of each other: no jitter", crowd, spread)
	// Of 48 s on average, and of 8 s if the waits do not grow.
	st.check(late > 2*crowd*time.Second, "the waits do not grow: the third and fourth of %d programs are %v together", crowd, late)
}

// turnAway answers every request with 503 and measures the waits.
func (g *gateway) turnAway(times int) (waits []time.Duration) {
	var turned time.Time
	for range times + 1 {
		c := g.next(8*time.Second + g.st.suite.patience)
		if c == nil {
			return waits
		}
		if !turned.IsZero() {
			waits = append(waits, c.at.Sub(turned))
		}
		c.page(503)
		turned = time.Now()
	}
	return waits
}
