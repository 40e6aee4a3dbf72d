package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
)

// lineStream is a stream whose errors end the test.
type lineStream struct {
	*api.Stream
	t testing.TB
}

func (d *door) stream() lineStream {
	d.t.Helper()
	s, err := d.OpenStream(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.Close() })
	return lineStream{s, d.t}
}

func (s lineStream) send(m api.Message) {
	s.t.Helper()
	if err := s.Send(m); err != nil {
		s.t.Fatal(err)
	}
}

func (s lineStream) receive() api.Result {
	s.t.Helper()
	r, err := s.Receive()
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestTenThousandLinesAreStoredInOrderAndTheBadOneIsNamed(t *testing.T) {
	d := openDoor(t)
	id := d.enrol(d.account(), "h1")[0]
	const lines, bad = 10_000, 5000
	s := d.stream()
	var work sync.WaitGroup
	work.Go(func() {
		for n := 1; n <= lines; n++ {
			m := api.Message{To: to(id), Data: []byte(fmt.Sprint(n))}
			if n == bad {
				m.To = to("mch_unknown")
			}
			s.send(m)
		}
		s.CloseSend()
	})
	last := uint64(0)
	for n := 1; n <= lines; n++ {
		r := s.receive()
		switch {
		case n == bad && (r.Line != bad || !errors.Is(r.Err(), api.CodeMachineNotFound) || r.Error.Hint == ""):
			t.Errorf("line %d: got %+v", n, r)
		case n != bad && (r.Err() != nil || r.Seq <= last || r.Epoch != d.broker.Epoch() || r.ID == ""):
			t.Fatalf("line %d: got %+v (%v), want a position after %d", n, r, r.Err(), last)
		case n != bad:
			last = r.Seq
		}
	}
	if _, err := s.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	work.Wait()
	entries, _, err := d.broker.History(t.Context(), id, "", 0, lines)
	if err != nil || len(entries) != lines-1 {
		t.Fatalf("%d messages are stored (%v), want %d", len(entries), err, lines-1)
	}
	for i, e := range entries {
		if n := i + 1; n < bad && string(e.Data()) != fmt.Sprint(n) || n >= bad && string(e.Data()) != fmt.Sprint(n+1) {
			t.Fatalf("stored message %d is %s", n, e.Data())
		}
	}
}

func TestEachLineIsAnsweredWhileTheStreamStaysOpen(t *testing.T) {
	d := openDoor(t)
	s := d.stream()
	for range 3 {
		s.send(api.Message{To: api.Target{All: true}, Data: []byte(`1`)})
		if r := s.receive(); r.Seq == 0 {
			t.Fatalf("got %+v", r)
		}
	}
	s.send(api.Message{To: api.Target{All: true}, Data: []byte(`1`), Mode: api.Live})
	if r := s.receive(); r.Err() != nil || r.Seq != 0 {
		t.Errorf("a live line: got %+v", r)
	}
}

func TestEveryKindOfBadLineIsAnsweredInItsPlace(t *testing.T) {
	d := openDoor(t)
	good := `{"to":{"all":true},"data":1}`
	lines := []string{
		good, ``, `{`, good, `{"to":{"all":true},"data":1,"extra":1}`, `{"to":{"all":true},"data":"` + strings.Repeat("x", 3<<20) + `"}`,
		"{\"to\":{\"all\":true},\"data\":\"\xff\"}", `{"to":{"account":"acc_x"},"data":1}`, good,
	}
	want := []string{"", "3 invalid_json", "", "5 unknown_field", "6 data_too_large", "7 invalid_json", "8 account_not_found", ""}
	a := d.raw("POST", messagesPath, strings.Join(lines, "\n"), "Content-Type: application/x-ndjson; charset=utf-8")
	if a.status != 200 || a.header.Get("Content-Type") != api.StreamType {
		t.Fatalf("got %+v", a)
	}
	got := strings.Split(strings.TrimSpace(a.body), "\n")
	if len(got) != len(want) {
		t.Fatalf("got %d answers, want %d:\n%s", len(got), len(want), a.body)
	}
	for i, w := range want {
		line, code, bad := strings.Cut(w, " ")
		if bad && (!strings.Contains(got[i], `"line":`+line+`,`) || !strings.Contains(got[i], code)) || !bad && !strings.Contains(got[i], `"seq":`) {
			t.Errorf("answer %d is %s, want %q", i+1, got[i], w)
		}
	}
}

// publishing sends lines on a bare connection without ever reading, until the gateway takes no more.
func publishing(t *testing.T, d *door, pause time.Duration) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", messagesPath, testToken, api.StreamType)
	chunk := strings.Repeat("{}\n", 20_000) // refused lines: their answers are the longest
	for {
		c.SetWriteDeadline(time.Now().Add(pause))
		if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
			return c
		}
	}
}

func TestACallerThatDoesNotTakeAnswersIsReadNoFurther(t *testing.T) {
	d := openDoor(t)
	publishing(t, d, time.Second)
	// Others are served all the while, and closing the server ends the stream: the door's clean-up
	// and the search for leaks wait for that.
	if _, err := d.Publish(t.Context(), api.Message{To: api.Target{All: true}, Data: []byte(`1`)}); err != nil {
		t.Error(err)
	}
}

func TestAStreamThatTheCallerBreaksOffIsNotTakenForWhole(t *testing.T) {
	d := openDoor(t)
	s := d.stream()
	s.send(api.Message{To: api.Target{All: true}, Data: []byte(`1`)})
	s.receive()
	s.Close()
	if _, err := s.Receive(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestAStopEndsStreamsAfterWhatWasRead(t *testing.T) {
	d := openDoor(t)
	s := d.stream()
	s.send(api.Message{To: api.Target{All: true}, Data: []byte(`1`)})
	if r := s.receive(); r.Seq == 0 {
		t.Fatalf("got %+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		t.Errorf("shutting down beside an open stream: %v", err)
	}
	if _, err := s.Receive(); !errors.Is(err, api.CodeDraining) {
		t.Errorf("got %v, want %s", err, api.CodeDraining)
	}
}

func TestAStreamIsRefusedBeforeItsFirstLine(t *testing.T) {
	d := openDoor(t)
	c, err := api.NewClient(d.url, "wrong")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := c.OpenStream(t.Context()); !errors.Is(err, api.CodeUnauthorized) {
		t.Errorf("got %v and %v", s, err)
	}
	if a := d.raw(http.MethodPost, accountsPath, "{}\n", "Content-Type: "+api.StreamType); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a stream where there is none: %d", a.status)
	}
}
