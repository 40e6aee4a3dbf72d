package main

import (
	"fmt"

	"github.com/fleetline/fleetline/wire"
)

func positionCases() []Case {
	return []Case{
		{Name: "position/data", Why: "At a reconnect lastSeq and epoch are those of the last message that came.", Play: dataMovesThePosition},
		{Name: "position/start", Why: "Without a lastSeq the position becomes that of auth_success.", Play: theFirstPositionIsTheGateways},
		{Name: "position/ping", Why: "A ping's seq is kept, so a machine that nobody writes to is never told of a gap it does not have.", Play: aPingMovesThePosition},
		{Name: "position/gap", Why: "A gap is told to the program, in order, and moves the position.", Play: aGapIsToldAndMovesThePosition},
		{Name: "position/not-recovered", Why: "recovered:false is a gap, and the position becomes that of the frame, even a lower one.", Play: notRecoveredIsAGap},
		{Name: "position/new-epoch", Why: "A position of another epoch is taken as it is: epochs have no order.", Play: anotherEpochIsTakenAsItIs},
		{Name: "position/duplicate", Why: "A message that is not beyond the position is a duplicate and dropped.", Play: nothingIsShownTwice},
		{Name: "position/live-only", Why: "Messages without seq are shown and move nothing.", Play: liveOnlyMessagesMoveNothing},
		{Name: "position/backwards", Why: "Neither ping nor gap moves the position backwards.", Play: nothingMovesThePositionBack},
		{Name: "position/pong", Why: "A pong's seq, if it is sent, is what was processed, never more.", Play: aPongSaysWhatIsProcessed},
		{Name: "position/mid-frame", Why: "A message that was cut in the middle has not come: it is asked for again.", Play: aCutMessageHasNotCome},
	}
}

// comesBackAt cuts the line and wants the machine back with this position.
func (st *stage) comesBackAt(l *line, epoch string, seq uint64, w wire.Welcome) *line {
	l.cut()
	l = st.auth()
	want := fmt.Sprintf("%s:%d", epoch, seq)
	st.check(position(l.auth) == want, "the program came back with the position %s, want %s", position(l.auth), want)
	l.welcome(w)
	return l
}

func dataMovesThePosition(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `"a"`)
	l.data(9, `"b"`)
	p.shows(5, 9)
	l = st.comesBackAt(l, epoch, 9, wire.Welcome{Seq: 9, Recovered: true})
	l.data(12, `"c"`)
	p.shows(12)
	st.comesBackAt(l, epoch, 12, wire.Welcome{Seq: 12, Recovered: true})
}

func theFirstPositionIsTheGateways(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 41})
	p.isState("connected")
	st.comesBackAt(l, epoch, 41, wire.Welcome{Seq: 41, Recovered: true})
}

func aPingMovesThePosition(st *stage) {
	st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.ping(50)
	l.pong()
	st.comesBackAt(l, epoch, 50, wire.Welcome{Seq: 50, Recovered: true})
}

func aGapIsToldAndMovesThePosition(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	l.send(wire.Gap{Seq: 100})
	l.data(101, `0`)
	p.shows(5)
	p.showsGap(100)
	p.shows(101)
	l.send(wire.Gap{Seq: 200})
	p.showsGap(200)
	st.comesBackAt(l, epoch, 200, wire.Welcome{Seq: 200, Recovered: true})
}

func notRecoveredIsAGap(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 500})
	l.data(501, `0`)
	p.shows(501)
	l = st.comesBackAt(l, epoch, 501, wire.Welcome{Seq: 7, Recovered: false})
	p.showsGap(7)
	l.data(8, `0`)
	p.shows(8)
	l = st.comesBackAt(l, epoch, 8, wire.Welcome{Seq: 3, Epoch: "e2", Recovered: false})
	p.showsGap(3)
	st.comesBackAt(l, "e2", 3, wire.Welcome{Seq: 3, Epoch: "e2", Recovered: true})
}

func anotherEpochIsTakenAsItIs(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 500, Epoch: "zz"})
	l.data(501, `0`)
	p.shows(501)
	l = st.comesBackAt(l, "zz", 501, wire.Welcome{Seq: 20, Epoch: "aa", Recovered: true})
	l.data(21, `0`)
	p.shows(21)
	st.comesBackAt(l, "aa", 21, wire.Welcome{Seq: 21, Epoch: "aa", Recovered: true})
}

func nothingIsShownTwice(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	l.data(5, `0`)
	l.data(9, `0`)
	l.data(7, `0`)
	p.shows(5, 9)
	l = st.comesBackAt(l, epoch, 9, wire.Welcome{Seq: 9, Recovered: true})
	l.data(5, `0`)
	l.data(9, `0`)
	l.data(10, `0`)
	p.shows(10)
}

func liveOnlyMessagesMoveNothing(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.text(`{"type":"data","data":null}`)
	p.showsLive(`null`)
	l.text(`{"type":"data","id":"job-7","data":"x"}`)
	p.showsLive(`"x"`)
	st.comesBackAt(l, epoch, 4, wire.Welcome{Seq: 4, Recovered: true})
}

func nothingMovesThePositionBack(st *stage) {
	st.start()
	l := st.letIn(wire.Welcome{Seq: 40})
	l.ping(30)
	l.pong()
	l.send(wire.Gap{Seq: 20})
	l.ping(40)
	l.pong()
	st.comesBackAt(l, epoch, 40, wire.Welcome{Seq: 40, Recovered: true})
}

func aPongSaysWhatIsProcessed(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(6, `0`)
	p.shows(6)
	l.ping(6)
	l.pong()
	l.data(7, `{"holdMs":60000}`)
	p.shows(7)
	l.ping(7)
	pong := l.pong()
	st.check(pong.Seq == nil || *pong.Seq == 6, "pong says %d, want 6: the message 7 is being worked on", *orZero(pong.Seq))
}

func orZero(seq *uint64) *uint64 {
	if seq == nil {
		return new(uint64)
	}
	return seq
}

func aCutMessageHasNotCome(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	p.shows(5)
	frame := wire.MustEncode(wire.Data{Seq: 6, Data: []byte(`"half of this comes"`)})
	l.below(frameHead(final|textFrame, len(frame)))
	l.below(frame[:len(frame)-1])
	l = st.comesBackAt(l, epoch, 5, wire.Welcome{Seq: 5, Recovered: true})
	l.below(append(frameHead(final|textFrame, len(frame)), frame...))
	p.shows(6)
}
