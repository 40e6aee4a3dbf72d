package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	// maxWatchers bounds the streams of server-sent events of this node.
	maxWatchers = 64
	// keepAlive is how long a stream is silent at most; its token is looked at again as often.
	keepAlive = 5 * time.Second
	// reconnectAfter is what browsers are told to wait before they come back.
	reconnectAfter = 2 * time.Second
)

// eventStream writes server-sent events (HTML Standard 9.2) for one caller.
type eventStream struct {
	ctl *http.ResponseController
	out timedWriter
	buf bytes.Buffer
}

// enterStream takes one of the places for streams, which leave gives back; without one it refuses.
func (a *Admin) enterStream(w http.ResponseWriter) (leave func(), ok bool) {
	select {
	case a.watchers <- struct{}{}:
		return func() { <-a.watchers }, true
	default:
		writeProblem(w, api.NewError(api.CodeTooManyStreams, fmt.Sprintf("there are %d streams of events on this gateway", maxWatchers)))
		return nil, false
	}
}

func beginStream(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", api.EventStreamType)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	s := &eventStream{ctl: http.NewResponseController(w)}
	s.out = timedWriter{w, s.ctl}
	fmt.Fprintf(&s.buf, "retry: %d\n\n", reconnectAfter.Milliseconds())
	return s
}

// flush writes what there is. A caller that does not read is cut off.
func (s *eventStream) flush() error {
	_, err := s.out.Write(s.buf.Bytes())
	s.buf.Reset()
	if err != nil {
		return err
	}
	return s.ctl.Flush()
}
