package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	// answerBuffer gathers answers for one write.
	answerBuffer = 32 << 10
	// answerDelay is how long an answer may lie in the buffer while more are on their way.
	answerDelay = 2 * time.Millisecond
)

// answerWriter writes the answers of a stream, many in one write when they come fast.
type answerWriter struct {
	ctl *http.ResponseController

	mu sync.Mutex
	// guarded by mu
	buf    *bufio.Writer
	enc    *json.Encoder
	timer  *time.Timer // flushes after answerDelay
	due    bool        // the timer runs
	err    error       // of the first write that did not succeed
	closed bool
}

func newAnswerWriter(w http.ResponseWriter, ctl *http.ResponseController) *answerWriter {
	o := &answerWriter{ctl: ctl, buf: bufio.NewWriterSize(timedWriter{w, ctl}, answerBuffer)}
	o.enc = json.NewEncoder(o.buf)
	o.enc.SetEscapeHTML(false)
	o.timer = time.AfterFunc(time.Hour, o.flush)
	o.timer.Stop()
	return o
}

// timedWriter gives the caller stallTimeout to take what is written.
type timedWriter struct {
	http.ResponseWriter
	ctl *http.ResponseController
}

func (t timedWriter) Write(b []byte) (int, error) {
	t.ctl.SetWriteDeadline(time.Now().Add(stallTimeout))
	return t.ResponseWriter.Write(b)
}

// write adds one answer. It blocks while the caller does not take answers.
func (o *answerWriter) write(r api.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.closed {
		return
	}
	if err := o.enc.Encode(r); err != nil {
		o.failLocked(err)
		return
	}
	if !o.due {
		o.due = true
		o.timer.Reset(answerDelay)
	}
}

func (o *answerWriter) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
}

func (o *answerWriter) flushLocked() {
	o.due = false
	if o.err != nil || o.closed {
		return
	}
	if err := o.buf.Flush(); err != nil {
		o.failLocked(err)
		return
	}
	o.ctl.SetWriteDeadline(time.Now().Add(stallTimeout))
	if err := o.ctl.Flush(); err != nil {
		o.failLocked(err)
	}
}

// failLocked also ends the reader's wait for more lines: nobody takes their answers.
func (o *answerWriter) failLocked(err error) {
	o.err = err
	o.ctl.SetReadDeadline(time.Now())
}

func (o *answerWriter) broken() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// close flushes what is left; nothing is written afterwards.
func (o *answerWriter) close() {
	o.timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
	o.closed = true
	o.ctl.SetWriteDeadline(time.Time{}) // the connection may serve another call
}
