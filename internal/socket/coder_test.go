package socket_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/internal/socket"
)

// echoing is an engine that sends every text back, behind net/http with or without TLS.
func echoing(t *testing.T, kind string) (*recorder, door, *websocket.Conn, context.Context) {
	r := newRecorder()
	// Room for two of the largest: what has just been read may still count as pending.
	e := newDoor(t, kind, socket.Config{Handler: r, MaxPending: 1 << 20})
	r.onFrame = func(id socket.ID, payload []byte) { e.Send(id, socket.Prepare(payload)) }
	s := server(t, e, starting(kind))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{
		HTTPClient: s.Client(), CompressionMode: websocket.CompressionContextTakeover, Subprotocols: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return r, e, c, ctx
}

func withCoder(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range doors {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

func TestAnIndependentPeerIsEchoed(t *testing.T) {
	withCoder(t, func(t *testing.T, kind string) {
		r, _, c, ctx := echoing(t, kind)
		r.opened(t)
		for _, size := range []int{0, 1, 125, 126, 127, 4096, 65535, 65536} {
			sent := bytes.Repeat([]byte("é"), size/2)
			if err := c.Write(ctx, websocket.MessageText, sent); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.Read(ctx)
			if err != nil || kind != websocket.MessageText || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes came back as %d bytes of %v, error %v", len(sent), len(got), kind, err)
			}
		}
		w, err := c.Writer(ctx, websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"frag", "ment", "ed"} {
			if _, err := w.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); string(got) != "fragmented" {
			t.Errorf("fragments came back as %q, error %v", got, err)
		}
	})
}

func TestAnIndependentPeerPingsAndCloses(t *testing.T) {
	withCoder(t, func(t *testing.T, kind string) {
		r, _, c, ctx := echoing(t, kind)
		r.opened(t)
		reading := c.CloseRead(ctx) // pongs are read there
		if err := c.Ping(ctx); err != nil {
			t.Error("ping:", err)
		}
		if err := c.Write(ctx, websocket.MessageBinary, []byte{1}); err != nil {
			t.Fatal(err)
		}
		r.expect(t, "binary")
		if err := c.Close(4100, "done"); err != nil {
			t.Error("closing:", err)
		}
		<-reading.Done()
		r.expect(t, "closed by peer: 4100 done")
	})
}

func TestAnIndependentPeerIsToldTheCode(t *testing.T) {
	withCoder(t, func(t *testing.T, kind string) {
		r, e, c, ctx := echoing(t, kind)
		id := r.opened(t)
		e.End(id, prepare("goodbye"), 4500, "machine_deleted")
		if _, got, err := c.Read(ctx); string(got) != "goodbye" {
			t.Errorf("read %q, error %v", got, err)
		}
		_, _, err := c.Read(ctx)
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != 4500 || closed.Reason != "machine_deleted" {
			t.Errorf("closed with %v, want 4500 machine_deleted", err)
		}
		r.expect(t, "closed by us: 4500 machine_deleted")
	})
}
