package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/wire"
)

func lifeCases() []Case {
	return []Case{
		{Name: "life/ping", Why: "Each ping is answered by a pong, and so is a ping of WebSocket itself.", Play: pingsAreAnswered},
		{Name: "life/silence", Why: "A gateway that sent no byte for one and a half heartbeats is gone: the machine leaves, not before, and dials again.", Play: aSilentGatewayIsLeft},
		{Name: "life/bytes", Why: "Any byte counts, also those of a frame that is not whole yet.", Play: bytesAreLife},
		{Name: "life/slow-program", Why: "While the program is slow its session stays: pongs go on, nothing is lost, nothing comes twice.", Play: aSlowProgramKeepsItsSession, Long: true},
	}
}

func pingsAreAnswered(st *stage) {
	st.start()
	l := st.letIn(wire.Welcome{})
	for range 3 {
		l.text(`{"type":"ping"}`)
		l.pong()
	}
	answered := l.conn.Ping(st.ctx) == nil
	st.check(answered, "a ping of WebSocket itself is not answered")
	l.isUp()
}

func aSilentGatewayIsLeft(st *stage) {
	st.start()
	const heartbeat = 600 * time.Millisecond
	l := st.letIn(wire.Welcome{HeartbeatSeconds: heartbeat.Seconds()})
	l.text(`{"type":"ping"}`)
	said := time.Now()
	l.pong()
	l.leaves()
	stayed := time.Since(said)
	st.check(stayed >= heartbeat, "the program left after %v, within one heartbeat", stayed)
	st.letIn(wire.Welcome{})
}

func bytesAreLife(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{HeartbeatSeconds: 1.2})
	frame := wire.MustEncode(wire.Data{Seq: 1, Data: json.RawMessage(`"slow link"`)})
	l.below(frameHead(final|textFrame, len(frame)))
	for i := range frame {
		if i < 20 {
			st.pause(150 * time.Millisecond)
		}
		l.below(frame[i : i+1])
	}
	p.shows(1)
	l.isUp()
	st.nobodyDials("while bytes were coming")
}

// What the program is sent while it holds, more than it and the sockets may keep.
const (
	flood      = 300
	floodBytes = 60_000
)

func aSlowProgramKeepsItsSession(st *stage) {
	p := st.start()
	const heartbeat = 4 * time.Second
	l := st.letIn(wire.Welcome{HeartbeatSeconds: heartbeat.Seconds()})
	l.data(1, `{"holdMs":15000}`)
	p.shows(1)
	f := l.flood(heartbeat)
	defer f.end()
	// As long as it takes what is sent, it need not say that it lives.
	for last := time.Now(); time.Since(f.began) < 14*time.Second; {
		if h, ok := l.hearWithin(time.Second); ok {
			last = h.at
		}
		quiet := min(time.Since(last), time.Since(f.lastTaken()))
		st.check(quiet < 3*heartbeat, "no pong for %v while the program is slow", quiet)
	}
	for i := range uint64(flood) {
		p.shows(2 + i)
	}
	l.isUp()
	st.nobodyDials("while it was slow")
}

// flooding sends all at once, and pings afterwards.
type flooding struct {
	l     *line
	began time.Time
	taken atomic.Int64 // nanoseconds after began
	stop  chan struct{}
	done  chan struct{}
}

func (l *line) flood(heartbeat time.Duration) *flooding {
	f := &flooding{l: l, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go f.run(heartbeat) // ends with end
	return f
}

func (f *flooding) run(heartbeat time.Duration) {
	defer close(f.done)
	pad := strings.Repeat("x", floodBytes)
	for i := range flood {
		f.l.text(fmt.Sprintf(`{"type":"data","seq":%d,"data":"%s"}`, 2+i, pad))
		f.taken.Store(int64(time.Since(f.began)))
	}
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(heartbeat / 2):
			f.l.text(`{"type":"ping"}`)
		}
	}
}

func (f *flooding) lastTaken() time.Time { return f.began.Add(time.Duration(f.taken.Load())) }

// end closes the line, so that no write waits any more.
func (f *flooding) end() {
	close(f.stop)
	_ = f.l.conn.CloseNow()
	<-f.done
}

func faultyCases() []Case {
	list := []Case{
		{Name: "faulty/unknown", Why: "Unknown types and fields are ignored, never fatal.", Play: unknownThingsAreIgnored},
		{Name: "faulty/null", Why: "A field whose value is null counts as not sent, except data.", Play: nullIsNotSent},
		{Name: "faulty/fragments", Why: "Fragmented messages are reassembled, with control frames between.", Play: fragmentsAreReassembled},
		{Name: "faulty/largest", Why: "A message of 1 MiB is taken.", Play: theLargestFrameIsTaken},
		{Name: "faulty/too-big", Why: "More than 1 MiB may be refused, but the client comes back and keeps its key.", Play: tooBigIsSurvived},
		{Name: "faulty/not-utf-8", Why: "Text that is no UTF-8 may end the connection, never the client.", Play: brokenTextIsSurvived},
		{Name: "faulty/framing", Why: "Broken framing ends the connection, never the client.", Play: brokenFramingIsSurvived},
	}
	for name, frame := range map[string]string{
		"empty": "", "not-json": "hello", "array": "[]", "number": "1", "no-type": `{"seq":1}`, "type-a-number": `{"type":7}`,
		"cut-json": `{"type":"data","seq":`, "seq-a-string": `{"type":"data","seq":"9","data":0}`,
		"seq-a-fraction": `{"type":"gap","seq":9.5}`, "seq-too-large": `{"type":"ping","seq":1e300}`, "seq-negative": `{"type":"gap","seq":-1}`,
		"bare-gap": `{"type":"gap"}`,
	} {
		list = append(list, Case{
			Name: "faulty/" + name, Why: "A frame that cannot be read is skipped, and the session goes on.",
			Play: func(st *stage) { skips(st, websocket.MessageText, frame) },
		})
	}
	return append(list, Case{
		Name: "faulty/binary", Why: "A binary message is no frame of this protocol: it is skipped, and the session goes on.",
		Play: func(st *stage) { skips(st, websocket.MessageBinary, `{"type":"data","seq":2,"data":0}`) },
	})
}

// skips sends a frame that means nothing and looks whether it moved something.
func skips(st *stage, kind websocket.MessageType, frame string) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	l.write(kind, []byte(frame))
	l.data(3, `0`)
	p.shows(1, 3)
	l.isUp()
	st.comesBackAt(l, epoch, 3, wire.Welcome{Seq: 3, Recovered: true})
}

func unknownThingsAreIgnored(st *stage) {
	p := st.start()
	l := st.auth()
	success := string(wire.MustEncode(st.success(wire.Welcome{})))
	l.text(strings.TrimSuffix(success, "}") + `,"news":{"seq":99},"Seq":7,"TYPE":"error"}`)
	l.text(`{"type":"news","seq":99}`)
	l.text(`{"type":"command","id":"c1","data":{}}`)
	l.text(`{"type":"ack","id":"1"}`)
	l.text(`{"type":"Machine_Deleted","message":"in another case it is another word"}`)
	l.text(`{"news":[1,2],"data":{"n":1},"seq":3,"type":"data","priority":9}`)
	p.shows(3)
	l.text(`{"type":"error","message":"What is this?","code":"no_such_code"}`)
	l.data(4, `0`)
	p.shows(4)
	l.isUp()
}

func nullIsNotSent(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.text(`{"type":"ping","seq":null}`)
	l.pong()
	l.text(`{"type":"data","seq":null,"id":null,"data":null}`)
	p.showsLive(`null`)
	l.text(`{"type":"data","seq":5,"id":null,"data":null}`)
	p.shows(5)
	st.comesBackAt(l, epoch, 5, wire.Welcome{Seq: 5, Recovered: true})
}

func fragmentsAreReassembled(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	frame := wire.MustEncode(wire.Data{Seq: 1, Data: json.RawMessage(`"péché ☃"`)})
	l.below(append(frameHead(textFrame, 1), frame[0]))
	l.below([]byte{final | 0x9, 0}) // a ping between
	for _, b := range frame[1:] {
		l.below(append(frameHead(rest, 1), b))
	}
	l.below(frameHead(final|rest, 0))
	e := p.next()
	st.check(e.Event == "data" && same(e.Data, `"péché ☃"`), "the data is %s", e.Data)
}

// sized is a data frame of exactly so many bytes.
func sized(seq uint64, size int) string {
	head := fmt.Sprintf(`{"type":"data","seq":%d,"data":"`, seq)
	return head + strings.Repeat("x", size-len(head)-2) + `"}`
}

func theLargestFrameIsTaken(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.text(sized(1, wire.MaxDown))
	l.data(2, `0`)
	p.shows(1, 2)
	l.isUp()
}

func tooBigIsSurvived(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
	l.text(sized(2, 2*wire.MaxDown))
	st.survives(p, l)
}

func brokenTextIsSurvived(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
	l.text("{\"type\":\"news\",\"text\":\"\xff\xfe\"}")
	l.data(2, `0`)
	select {
	case <-l.gone:
		l = st.letIn(wire.Welcome{Seq: 1, Recovered: true})
		l.data(2, `0`)
	case e := <-p.told:
		st.check(e.Seq == 2, "the program told %q %d", e.Event, e.Seq)
		return
	case <-time.After(st.suite.patience):
		st.fail("nothing happened")
	}
	p.shows(2)
}

func brokenFramingIsSurvived(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{})
	l.data(1, `0`)
	p.shows(1)
	l.below([]byte{0xff, 0x01, 0xff}) // all reserved bits, and an opcode that is none
	st.survives(p, l)
}

// survives wants the machine to leave the line and to go on where it was.
func (st *stage) survives(p *program, l *line) {
	l.leaves()
	l = st.auth()
	st.check(position(l.auth) == "e1:1", "the program came back with %s, want e1:1", position(l.auth))
	l.welcome(wire.Welcome{Seq: 1, Recovered: true})
	l.data(2, `0`)
	p.shows(2)
}
