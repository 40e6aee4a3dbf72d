package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/wire"
)

const maxUp = wire.MaxUp

// line is one WebSocket, the gateway's end of it.
type line struct {
	st   *stage
	conn *websocket.Conn
	raw  net.Conn
	auth wire.Auth // once heard
	// token is what the machine was let in with, for the next time.
	token string

	heard chan heard
	gone  chan struct{} // closed when nothing more can come
}

// heard is one frame, or what was wrong with it.
type heard struct {
	up      wire.Up
	problem string
	at      time.Time
}

func (l *line) read() {
	defer close(l.gone)
	for {
		kind, frame, err := l.conn.Read(l.st.ctx)
		if err != nil {
			if !isClose(err) {
				_ = l.conn.CloseNow()
			}
			return
		}
		h := heard{at: time.Now()}
		if kind != websocket.MessageText {
			h.problem = "the program sent a binary message"
		} else if h.up, err = wire.ParseUp(frame); err != nil {
			h.problem = "the program sent a bad frame: " + err.Error()
		}
		select {
		case l.heard <- h:
		default: // nobody listens any more to one that talks that much
		}
	}
}

// hear waits for the next frame.
func (l *line) hear() wire.Up {
	h, ok := l.hearWithin(l.st.suite.patience)
	l.st.check(ok, "nothing came from the program within %v", l.st.suite.patience)
	return h.up
}

// hearWithin fails if the machine leaves, and when a frame is bad.
func (l *line) hearWithin(d time.Duration) (heard, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case h := <-l.heard:
		l.st.check(h.problem == "", "%s", h.problem)
		return h, true
	case <-l.gone:
		select {
		case h := <-l.heard:
			l.st.check(h.problem == "", "%s", h.problem)
			return h, true
		default:
		}
		l.st.fail("the program left the session")
	case <-timer.C:
	}
	return heard{}, false
}

func (l *line) hearAuth() {
	up := l.hear()
	auth, ok := up.(wire.Auth)
	l.st.check(ok, "the first frame is %T, want auth", up)
	l.auth = auth
}

// pong waits for one, whatever else the machine says.
func (l *line) pong() wire.Pong {
	for {
		switch up := l.hear().(type) {
		case wire.Pong:
			return up
		case wire.Auth:
			l.st.fail("the program sent a second auth")
		}
	}
}

// leaves waits for the machine to go.
func (l *line) leaves() {
	select {
	case <-l.gone:
	case <-time.After(l.st.suite.patience):
		l.st.fail("the program did not leave the session")
	}
}

// isUp says that the machine is still there.
func (l *line) isUp() {
	select {
	case <-l.gone:
		l.st.fail("the program left the session")
	default:
	}
}

func (l *line) send(frames ...wire.Down) {
	for _, f := range frames {
		l.text(string(wire.MustEncode(f)))
	}
}

func (l *line) text(frame string) { l.write(websocket.MessageText, []byte(frame)) }

func (l *line) write(kind websocket.MessageType, b []byte) {
	_ = l.conn.Write(l.st.ctx, kind, b) // a machine that has left is seen by what it does not do
}

func (l *line) welcome(w wire.Welcome) {
	s := l.st.success(w)
	l.token = s.SessionToken
	l.send(s)
}

func (l *line) data(seq uint64, data string) {
	l.send(wire.Data{Seq: seq, Data: json.RawMessage(data)})
}

func (l *line) ping(seq uint64) { l.send(wire.Ping{Seq: &seq}) }

// close ends the session by a close frame, and waits for the answer as long as a machine may take.
func (l *line) close(code wire.CloseCode, reason string) {
	_ = l.conn.Close(websocket.StatusCode(code), reason)
}

// cut ends the connection without a word.
func (l *line) cut() { _ = l.raw.Close() }

// below writes bytes under the WebSocket.
func (l *line) below(b []byte) { _, _ = l.raw.Write(b) }

// first bytes of a frame (RFC 6455 5.2)
const (
	textFrame = 0x1
	rest      = 0x0
	final     = 0x80
)

// frameHead is the head of an unmasked frame of so many bytes.
func frameHead(first byte, length int) []byte {
	switch {
	case length < 126:
		return []byte{first, byte(length)}
	case length < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(length))
	}
	return binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(length))
}

// cameWith says by what a machine came.
func (l *line) cameWith(token string) string {
	switch {
	case l.auth.APIKey == l.st.key:
		return "the key"
	case l.auth.APIKey != "":
		return "another key"
	case l.auth.SessionToken == token:
		return "the token"
	}
	return "another token"
}

func position(a wire.Auth) string {
	if a.LastSeq == nil {
		return "none"
	}
	return fmt.Sprintf("%s:%d", a.Epoch, *a.LastSeq)
}
