package main

import (
	"time"

	"github.com/fleetline/fleetline/wire"
)

func tokenCases() []Case {
	return []Case{
		{Name: "token/reconnect", Why: "A token that has not expired is sent instead of the key: that costs the gateway nothing.", Play: theTokenComesBack},
		{Name: "token/pushed", Why: "A token that is pushed replaces the old one, without a reconnect.", Play: aPushedTokenReplacesTheOldOne},
		{Name: "token/expired", Why: "A token whose expiresAt has passed is not sent.", Play: anExpiredTokenIsNotSent},
		{Name: "token/expiry-ends-nothing", Why: "A live session does not end when its token expires.", Play: anExpiredTokenEndsNoSession},
		{Name: "token/refused", Why: "Close 4005: the machine comes back with the key.", Play: aRefusedTokenGivesWayToTheKey},
		{Name: "token/refused-by-frame", Why: "The frame alone says it too: the close may be lost.", Play: aTokenRefusedByFrameGivesWayToTheKey},
		{Name: "token/bad-key", Why: "bad_key for a token: once more with the key of now, and only that verdict ends the client.", Play: aBadKeyForATokenIsAskedAgain},
		{Name: "token/other-key", Why: "A token belongs to the key it was given for: with another key it must not be used.", Play: aTokenBelongsToItsKey},
	}
}

// cameBack lets the machine in, cuts the line and returns the next one, with the token that is due.
func (st *stage) cameBack(w wire.Welcome) (next *line, token string) {
	l := st.letIn(w)
	l.cut()
	return st.auth(), l.token
}

func theTokenComesBack(st *stage) {
	st.start()
	l, token := st.cameBack(wire.Welcome{})
	st.check(l.cameWith(token) == "the token", "the program came back with %s", l.cameWith(token))
}

func aPushedTokenReplacesTheOldOne(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	fresh := st.secret("tok_")
	l.send(wire.Token{SessionToken: fresh, ExpiresAt: time.Now().Add(15 * time.Minute).UTC()})
	l.data(1, `0`)
	p.shows(1)
	l.isUp()
	l.cut()
	l = st.auth()
	st.check(l.auth.SessionToken == fresh, "the program came back with %s instead of the fresh token", l.cameWith(""))
}

func anExpiredTokenIsNotSent(st *stage) {
	st.start()
	l, token := st.cameBack(wire.Welcome{ExpiresAt: time.Now().Add(-time.Second).UTC()})
	st.check(l.cameWith(token) == "the key", "the program came back with %s", l.cameWith(token))
}

func anExpiredTokenEndsNoSession(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{ExpiresAt: time.Now().Add(time.Second).UTC()})
	st.pause(2 * time.Second)
	l.data(1, `0`)
	p.shows(1)
	l.isUp()
	st.nobodyDials("because its token had expired")
}

func aRefusedTokenGivesWayToTheKey(st *stage) {
	p := st.start()
	l, token := st.cameBack(wire.Welcome{})
	st.check(l.cameWith(token) == "the token", "the program came back with %s", l.cameWith(token))
	l.close(wire.CloseBadToken, "bad_token")
	l = st.letIn(wire.Welcome{Recovered: true})
	st.check(l.cameWith(token) == "the key", "after bad_token the program came back with %s", l.cameWith(token))
	l.data(1, `0`)
	p.shows(1)
}

func aTokenRefusedByFrameGivesWayToTheKey(st *stage) {
	st.start()
	l, token := st.cameBack(wire.Welcome{})
	l.send(wire.AuthFailed{Message: "The session token is not good any more", Code: wire.CodeBadToken})
	l.cut()
	l = st.auth()
	st.check(l.cameWith(token) == "the key", "after bad_token the program came back with %s", l.cameWith(token))
}

func aBadKeyForATokenIsAskedAgain(st *stage) {
	p := st.start()
	l, token := st.cameBack(wire.Welcome{})
	st.check(l.cameWith(token) == "the token", "the program came back with %s", l.cameWith(token))
	refuse(l)
	l = st.auth()
	st.check(l.cameWith(token) == "the key", "the program came back with %s", l.cameWith(token))
	refuse(l)
	p.ends(4, "bad_key")
	st.nobodyDials("after the verdict on its key")
}

func aTokenBelongsToItsKey(st *stage) {
	p := st.start()
	st.letIn(wire.Welcome{})
	p.isState("connected")
	p.kill()
	st.newKey()
	st.start()
	l := st.auth()
	st.check(l.cameWith("") == "the key", "with another key the program came with %s", l.cameWith(""))
}

// refuse is what a gateway says of a key it does not accept.
func refuse(l *line) {
	l.send(wire.AuthFailed{Message: wire.TextInvalidKey, Code: wire.CodeBadKey})
	l.close(wire.CloseBadKey, string(wire.CodeBadKey))
}
