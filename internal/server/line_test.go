package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// line is a machine's connection, spoken by hand.
type line struct {
	t testing.TB
	c *websocket.Conn
}

type frame map[string]any

func (f frame) text(name string) string { s, _ := f[name].(string); return s }

func dial(t testing.TB, url string) *line {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(2 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return &line{t, c}
}

func (l *line) say(f frame) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.write(ctx, f); err != nil {
		l.t.Fatalf("writing a frame: %v", err)
	}
}

func (l *line) write(ctx context.Context, f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return l.c.Write(ctx, websocket.MessageText, b)
}

func (l *line) read() (frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return l.readIn(ctx)
}

func (l *line) readIn(ctx context.Context) (frame, error) {
	_, b, err := l.c.Read(ctx)
	if err != nil {
		return nil, err
	}
	var f frame
	return f, json.Unmarshal(b, &f)
}

// next is the next frame that is no ping.
func (l *line) next() frame {
	l.t.Helper()
	for {
		f, err := l.read()
		if err != nil {
			l.t.Fatalf("reading a frame: %v", err)
		}
		if f.text("type") != "ping" {
			return f
		}
	}
}

// login connects and authenticates.
func login(t testing.TB, url string, auth frame) (*line, frame) {
	t.Helper()
	l := dial(t, url)
	l.say(auth)
	f := l.next()
	if f.text("type") != "auth_success" {
		t.Fatalf("auth was answered with %v", f)
	}
	return l, f
}

// comeIn logs in as a machine does, which comes back when it is told to: what was reported of its account
// a moment ago may have to be proved first.
func comeIn(t testing.TB, url string, auth frame) frame {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		l := dial(t, url)
		l.say(auth)
		f := l.next()
		if f.text("type") == "auth_success" {
			return f
		}
		if f.text("code") != "held" || time.Now().After(deadline) {
			t.Fatalf("auth was answered with %v", f)
		}
	}
}

// end reads to the close and returns the last frame's type and the close code as "type code".
func (l *line) end() string {
	l.t.Helper()
	last := "nothing"
	for {
		f, err := l.read()
		var closed websocket.CloseError
		switch {
		case errors.As(err, &closed):
			return fmt.Sprintf("%s %d", last, closed.Code)
		case err != nil:
			l.t.Fatalf("reading to the close: %v", err)
		case f.text("type") != "ping":
			last = f.text("type")
		}
	}
}

// refused connects, authenticates and returns how that ended.
func refused(t testing.TB, url string, auth frame) string {
	t.Helper()
	l := dial(t, url)
	l.say(auth)
	return l.end()
}

func withKey(key string) frame { return frame{"type": "auth", "apiKey": key} }

func withHWID(key, hwid string) frame {
	return frame{"type": "auth", "apiKey": key, "v": 1, "machine": frame{"hwid": hwid}}
}

func withToken(token string) frame { return frame{"type": "auth", "sessionToken": token, "v": 1} }
