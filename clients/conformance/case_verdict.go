package main

import (
	"strings"

	"github.com/fleetline/fleetline/wire"
)

func verdictCases() []Case {
	const deleted = "The client wipes its key and all it stores, keeps hwid and a digest of the key, and exits; with the same key it exits at once without connecting."
	const badKey = "bad_key ends the client, because coming back with the same key is of no use; its state is kept."
	return []Case{
		{Name: "verdict/deleted", Why: deleted, Play: func(st *stage) {
			deletedBy(st, func(l *line) {
				l.send(wire.MachineDeleted{Message: wire.TextMachineDeleted})
				l.send(wire.MachineDeleted{Message: wire.TextMachineDeleted})
				l.close(wire.CloseMachineDeleted, string(wire.CodeMachineDeleted))
			})
		}},
		{Name: "verdict/deleted-by-frame", Why: "The frame alone is enough: the close may be lost.", Play: func(st *stage) {
			deletedBy(st, func(l *line) {
				l.send(wire.MachineDeleted{Message: "other words"})
				l.cut()
			})
		}},
		{Name: "verdict/deleted-by-close", Why: "Close 4500 alone is enough: the frame may be lost.", Play: func(st *stage) {
			deletedBy(st, func(l *line) { l.close(wire.CloseMachineDeleted, "") })
		}},
		{Name: "verdict/deleted-at-auth", Why: "machine_deleted may be the answer to auth, with a token as with a key.", Play: deletedWhileAway},
		{Name: "verdict/deleted-while-slow", Why: "A verdict counts, whatever the program is busy with.", Play: deletedWhileSlow},
		{Name: "verdict/bad-key", Why: badKey, Play: func(st *stage) { badKeyBy(st, refuse) }},
		{Name: "verdict/bad-key-by-frame", Why: "auth_failed with bad_key is enough: the close may be lost.", Play: func(st *stage) {
			badKeyBy(st, func(l *line) {
				l.send(wire.AuthFailed{Message: "other words", Code: wire.CodeBadKey})
				l.cut()
			})
		}},
		{Name: "verdict/bad-key-by-text", Why: "A gateway that knows only the fixed block says it by the fixed text.", Play: func(st *stage) {
			badKeyBy(st, func(l *line) {
				l.send(wire.AuthFailed{Message: wire.TextInvalidKey})
				l.cut()
			})
		}},
		{Name: "verdict/bad-key-by-close", Why: "Close 4501 is enough: the frame may be lost.", Play: func(st *stage) {
			badKeyBy(st, func(l *line) { l.close(wire.CloseBadKey, "") })
		}},
		{Name: "verdict/bad-key-live", Why: "On a session that was opened with the key, bad_key ends the client as well.", Play: badKeyOnALiveSession},
		{Name: "verdict/protocol", Why: "4503 ends the client and wipes nothing.", Play: func(st *stage) { endsBy(st, wire.CloseProtocol, "protocol") }},
		{Name: "verdict/unknown", Why: "4500 to 4999 end the client, known or not; only 4500 wipes.", Play: func(st *stage) { endsBy(st, 4777, "") }},
	}
}

func deletedBy(st *stage, say func(*line)) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	hwid := l.auth.Machine
	l.data(5, `0`)
	p.shows(5)
	say(l)
	staysDeleted(st, p, hwid)
}

// staysDeleted wants the end, the wipe and the memory of it.
func staysDeleted(st *stage, p *program, was *wire.MachineInfo) {
	p.ends(3, "machine_deleted")
	st.isWiped()
	st.nobodyDials("after it was deleted")

	p = st.start()
	p.ends(3, "machine_deleted")
	st.nobodyDials("with the key it was deleted with")

	st.newKey()
	st.start()
	a := st.auth().auth
	st.check(a.APIKey == st.key, "with another key the program came with a token")
	st.check(a.MachineID == "" && a.LastSeq == nil, "machineId or position outlived the deletion")
	st.check(was == nil || a.Machine != nil && a.Machine.HWID == was.HWID, "the hwid was not kept")
}

// isWiped says that no file holds what must be gone.
func (st *stage) isWiped() {
	for name, content := range st.stored() {
		for _, secret := range st.secrets {
			st.check(!strings.Contains(content, secret), "%s still holds a key or a token", name)
		}
		st.check(!strings.Contains(content, machineID), "%s still holds the machineId", name)
	}
}

func deletedWhileAway(st *stage) {
	p := st.start()
	l, _ := st.cameBack(wire.Welcome{})
	was := l.auth.Machine
	l.send(wire.MachineDeleted{Message: wire.TextMachineDeleted})
	l.close(wire.CloseMachineDeleted, string(wire.CodeMachineDeleted))
	staysDeleted(st, p, was)
}

func deletedWhileSlow(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `{"holdMs":4000}`)
	p.shows(1)
	l.data(2, `0`)
	l.send(wire.MachineDeleted{Message: wire.TextMachineDeleted})
	l.close(wire.CloseMachineDeleted, string(wire.CodeMachineDeleted))
	staysDeleted(st, p, l.auth.Machine)
}

func badKeyBy(st *stage, say func(*line)) {
	p := st.start()
	l := st.auth()
	say(l)
	p.ends(4, "bad_key")
	st.nobodyDials("after the verdict on its key")
	st.isKept(l.auth.Machine)
}

func badKeyOnALiveSession(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
	refuse(l)
	p.ends(4, "bad_key")
	st.nobodyDials("after the verdict on its key")
	st.isKept(l.auth.Machine)
}

// isKept wants the machine to be who it was, and to ask the gateway again.
func (st *stage) isKept(was *wire.MachineInfo) {
	st.start()
	a := st.auth().auth
	st.check(was == nil || a.Machine != nil && a.Machine.HWID == was.HWID, "the hwid was not kept")
}

func endsBy(st *stage, code wire.CloseCode, word string) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	p.shows(5)
	l.close(code, word)
	p.ends(1, word)
	st.nobodyDials("after a terminal close code")
	st.start()
	a := st.auth().auth
	st.check(a.MachineID != "" && a.LastSeq != nil, "machineId or position were wiped")
}
