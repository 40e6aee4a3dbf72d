package main

import (
	"time"

	"github.com/fleetline/fleetline/wire"
)

func authCases() []Case {
	return []Case{
		{Name: "auth/first", Why: "The machine speaks first, with auth, and says nothing more until it is judged.", Play: authComesFirst},
		{Name: "auth/hwid", Why: "hwid is made at random at the first run and kept: disk images share what the system has.", Play: hwidIsRandomAndKept},
		{Name: "auth/machine-id", Why: "The machineId that the gateway gave is sent from then on, also after a restart.", Play: machineIDIsKept},
		{Name: "auth/fixed-block", Why: "A gateway that knows only the fixed block is served: no field beyond it may be required.", Play: theFixedBlockIsEnough},
		{Name: "auth/states", Why: "The contract of this judge: the program tells when it is connected and when it waits.", Play: statesAreTold},
	}
}

func authComesFirst(st *stage) {
	p := st.start()
	l := st.auth()
	a := l.auth
	st.check(a.APIKey == st.key, "auth does not carry the API key")
	st.check(a.V == wire.Version, "v is %d, want %d", a.V, wire.Version)
	st.check(a.LastSeq == nil && a.MachineID == "", "a first auth carries lastSeq or machineId")
	st.check(a.Machine != nil && a.Machine.HWID != "", "auth carries no machine with a hwid")
	h, early := l.hearWithin(500 * time.Millisecond)
	st.check(!early, "%T was sent before auth was answered", h.up)
	l.welcome(wire.Welcome{})
	l.data(1, `{"hello":"machine"}`)
	p.shows(1)
}

func hwidIsRandomAndKept(st *stage) {
	p := st.start()
	first := st.letIn(wire.Welcome{}).auth.Machine
	st.check(first != nil && len(first.HWID) >= 16, "the hwid is missing or too short to be random")
	p.kill()
	p = st.start()
	again := st.auth().auth.Machine
	st.check(again != nil && again.HWID == first.HWID, "the hwid is another one after a restart")
	p.kill()
	for name := range st.stored() {
		st.forget(name)
	}
	st.start()
	other := st.auth().auth.Machine
	st.check(other != nil && other.HWID != first.HWID, "an empty state folder brings the same hwid: it is not random")
}

func machineIDIsKept(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{MachineID: "mch_given"})
	l.data(1, `0`)
	p.shows(1)
	l.cut()
	l = st.letIn(wire.Welcome{Recovered: true})
	st.check(l.auth.MachineID == "mch_given", "machineId at the reconnect is %q", l.auth.MachineID)
	p.kill()
	st.start()
	l = st.auth()
	st.check(l.auth.MachineID != "", "machineId is not sent after a restart")
}

func theFixedBlockIsEnough(st *stage) {
	p := st.start()
	for range 2 {
		l := st.auth()
		st.check(l.auth.APIKey == st.key, "a session token without expiresAt came back instead of the key")
		l.send(wire.AuthSuccess{SessionToken: st.secret("tok_"), Message: wire.TextAuthenticated})
		l.text(`{"type":"ping"}`)
		l.pong()
		l.text(`{"type":"data","data":{"any":["JSON",1.5,null]}}`)
		p.showsLive(`{"any":["JSON",1.5,null]}`)
		l.text(`{"type":"error","message":"Rate limit exceeded. Slow down."}`)
		l.text(`{"type":"data","data":"after the error"}`)
		p.showsLive(`"after the error"`)
		l.cut()
	}
	l := st.auth()
	l.text(`{"type":"machine_deleted","message":"` + wire.TextMachineDeleted + `"}`)
	l.cut()
	p.ends(3, "machine_deleted")
}

func statesAreTold(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	p.isState("connected")
	l.cut()
	p.isState("waiting")
	st.letIn(wire.Welcome{})
	p.isState("connected")
}
