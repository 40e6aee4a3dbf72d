package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fleetline/fleetline/api"
)

// answerLines answers each line of a stream with what line says; an empty answer ends the call.
func answerLines(line func(n int, text string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctl := http.NewResponseController(w)
		ctl.EnableFullDuplex()
		w.Header().Set("Content-Type", api.StreamType)
		ctl.Flush()
		in := bufio.NewScanner(r.Body)
		for n := 1; in.Scan(); n++ {
			answer := line(n, in.Text())
			if answer == "" {
				return
			}
			io.WriteString(w, answer+"\n")
			ctl.Flush()
		}
	}
}

func open(t *testing.T, c *api.Client) *api.Stream {
	t.Helper()
	s, err := c.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var toAll = api.Message{To: api.Target{All: true}, Data: []byte("{ \"a\": \"<&>\" }")}

func TestAStreamBringsOneResultForEachMessageInOrder(t *testing.T) {
	c := answering(t, answerLines(func(n int, text string) string {
		if want := `{"to":{"all":true},"data":{"a":"<&>"}}`; text != want {
			t.Errorf("line %d is %s, want %s", n, text, want)
		}
		if n == 3 {
			return `{"line":3,"error":{"code":"data_too_large","detail":"too much","hint":"send less"}}`
		}
		return fmt.Sprintf(`{"id":"x","epoch":"e","seq":%d}`, n)
	}))
	s := open(t, c)
	const lines = 5000
	var work sync.WaitGroup
	work.Go(func() {
		for range lines {
			if err := s.Send(toAll); err != nil {
				t.Error(err)
			}
		}
		s.CloseSend()
	})
	for n := 1; n <= lines; n++ {
		r, err := s.Receive()
		switch {
		case err != nil:
			t.Fatal(err)
		case n == 3 && (r.Line != 3 || !errors.Is(r.Err(), api.CodeDataTooLarge)):
			t.Errorf("line 3: got %+v", r)
		case n != 3 && (r.Seq != uint64(n) || r.Err() != nil):
			t.Errorf("line %d: got %+v", n, r)
		}
	}
	if _, err := s.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v, want io.EOF", err)
	}
	work.Wait()
	if err := s.Send(toAll); !errors.Is(err, api.CodeStreamInterrupted) {
		t.Errorf("sending after the end: %v", err)
	}
}

func TestAStreamThatBreaksOffSaysHowManyMessagesHaveNoResult(t *testing.T) {
	c := answering(t, answerLines(func(n int, _ string) string {
		if n == 2 {
			return ""
		}
		return `{"seq":1}`
	}))
	s := open(t, c)
	for range 3 {
		if err := s.Send(toAll); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Receive(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(); !errors.Is(err, api.CodeStreamInterrupted) || !strings.Contains(err.Error(), "2 messages") {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorWithoutALineIsTheStreamsOwn(t *testing.T) {
	c := answering(t, answerLines(func(int, string) string {
		return `{"error":{"code":"draining","detail":"stopping","hint":"later"}}`
	}))
	s := open(t, c)
	if err := s.Send(toAll); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(); !errors.Is(err, api.CodeDraining) {
		t.Errorf("got %v", err)
	}
}

func TestSendWaitsForAGatewayThatIsBehindAndEndsWithTheContext(t *testing.T) {
	release := make(chan struct{})
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", api.StreamType)
		http.NewResponseController(w).EnableFullDuplex()
		http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.OpenStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	big := api.Message{To: api.Target{All: true}, Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	failed := make(chan error)
	go func() { // ends when the context does
		for {
			if err := s.Send(big); err != nil {
				failed <- err
				return
			}
		}
	}()
	cancel()
	if err := <-failed; !errors.Is(err, api.CodeStreamInterrupted) {
		t.Errorf("got %v", err)
	}
}
