package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func doorCases() []Case {
	list := []Case{
		{Name: "door/slow", Why: "A handshake that takes three seconds is waited for.", Play: aSlowHandshakeIsWaitedFor},
		{Name: "door/no-answer", Why: "An attempt without an answer is given up after about 30 s.", Play: anAttemptWithoutAnAnswerIsGivenUp, Long: true},
		{Name: "door/cut", Why: "A connection that is cut before its handshake is no verdict.", Play: aCutHandshakeIsNoVerdict},
		{Name: "door/redirect", Why: "Redirects are followed to the same host at most: the key is meant for this one.", Play: redirectsKeepTheKeyAtItsHost},
		{Name: "door/retry-after", Why: "A Retry-After header is honoured.", Play: func(st *stage) {
			st.comesBackLate(func(c *call) { c.page(503, "Retry-After", "2") }, 2*time.Second)
		}},
	}
	for _, status := range []int{200, 400, 401, 403, 404, 410, 426, 429, 500, 502, 503} {
		list = append(list, Case{
			Name: fmt.Sprintf("door/http-%d", status),
			Why:  "No answer of HTTP and no page of a proxy is a verdict: the key is kept, the client comes back.",
			Play: func(st *stage) { comesBackAfterAPage(st, status) },
		})
	}
	return list
}

func aSlowHandshakeIsWaitedFor(st *stage) {
	p := st.start()
	c := st.dial()
	st.pause(3 * time.Second)
	l := c.upgrade()
	l.hearAuth()
	st.pause(2 * time.Second)
	l.welcome(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
	st.nobodyDials("though the first attempt was still open")
}

func anAttemptWithoutAnAnswerIsGivenUp(st *stage) {
	st.start()
	l := st.auth() // and no answer
	began := time.Now()
	next := st.dialWithin(45*time.Second + st.suite.patience)
	st.check(next.at.Sub(began) >= 25*time.Second, "the attempt was given up after %v already", next.at.Sub(began))
	l.leaves()
}

func aCutHandshakeIsNoVerdict(st *stage) {
	p := st.start()
	_ = st.dial().raw.Close()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
}

func redirectsKeepTheKeyAtItsHost(st *stage) {
	p := st.start()
	other := st.open()
	elsewhere := strings.Replace(other.url(), "ws://127.0.0.1", "http://localhost", 1) + "/"
	st.dial().page(302, "Location", elsewhere)
	l := st.letIn(wire.Welcome{})
	st.check(l.auth.APIKey == st.key, "the program came back with %s", l.cameWith(""))
	l.data(1, `0`)
	p.shows(1)
	st.check(len(other.calls) == 0, "the program followed a redirect to another host")
}

func comesBackAfterAPage(st *stage, status int) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	p.shows(5)
	l.cut()
	st.dial().page(status)
	l = st.letIn(wire.Welcome{Seq: 5, Recovered: true})
	st.check(position(l.auth) == "e1:5", "after the page the position is %s, want e1:5", position(l.auth))
	l.data(6, `0`)
	p.shows(6)
}

// comesBackLate wants the next attempt not before the wait that was asked for.
func (st *stage) comesBackLate(answer func(*call), wait time.Duration) {
	st.start()
	c := st.dial()
	told := time.Now()
	answer(c)
	next := st.dialWithin(wait + st.suite.patience)
	st.check(next.at.Sub(told) >= wait, "the program came back after %v, was asked to wait %v", next.at.Sub(told), wait)
}
