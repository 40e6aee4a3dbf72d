package supabase

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/fleetline/fleetline/internal/directory"
)

// maxFrame bounds a frame: the largest change, 1 MiB, with room for its envelope.
const maxFrame = 4 << 20

// joinRef is the ref of the one join of a link.
const joinRef = "1"

// signal is what a link tells of itself. The last one is the reason why it ended.
type signal struct {
	from    *link
	live    bool // changes flow from now on; those before may have been missed
	change  *change
	ended   error
	refused bool // the key was refused: hurry does not help
}

// line is what every link is made of.
type line struct {
	client   *http.Client
	root     *url.URL
	key      directory.Key
	kind     keyKind
	bindings []binding
	pace     pace
	counts   *counters
}

// link is one Realtime connection with one topic. It is never healed but replaced.
type link struct {
	line  *line
	topic string
	stop  context.CancelFunc
	out   chan<- signal

	// Owned by run.
	conn     *websocket.Conn
	refs     int
	joined   bool
	ok       bool
	deadline *time.Timer // of the join, then of the system's ok
	awaited  string      // ref of the heartbeat that is not answered yet; "": none
	silence  *time.Timer // ends that wait
}

func newLink(l *line, out chan<- signal) *link {
	return &link{line: l, topic: "realtime:fleetline-" + rand.Text(), out: out}
}

// run lives until ctx ends or the flow of changes does; it tells why. life bounds the telling.
func (l *link) run(ctx, life context.Context) {
	err := l.dial(ctx)
	if err == nil {
		err = l.follow(ctx, life)
		_ = l.conn.CloseNow()
	}
	_, refused := errors.AsType[*refusedError](err)
	l.tell(life, signal{ended: err, refused: refused})
}

func (l *link) tell(life context.Context, s signal) {
	s.from = l
	select {
	case l.out <- s:
	case <-life.Done():
	}
}

// refusedError is a handshake that was refused because of the key.
type refusedError struct{ status int }

func (e *refusedError) Error() string {
	return fmt.Sprintf("realtime refuses the key (HTTP %d)", e.status)
}

// dial opens the connection. The key has to be in the URL; no error repeats it.
func (l *link) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.line.pace.join)
	defer cancel()
	u := at(l.line.root, "/realtime/v1/websocket")
	u.RawQuery = url.Values{"apikey": {string(l.line.key)}, "vsn": {"2.0.0"}}.Encode()
	conn, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: l.line.client, HTTPHeader: http.Header{"User-Agent": {userAgent}},
	})
	if err == nil {
		l.line.counts.add("realtime", nil)
		conn.SetReadLimit(maxFrame)
		l.conn = conn
		return nil
	}
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		f := broken(err)
		l.line.counts.add("realtime", f)
		return fmt.Errorf("realtime cannot be reached: %w", f)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	f := refusal(resp, body)
	l.line.counts.add("realtime", f)
	if f.status == http.StatusUnauthorized || f.status == http.StatusForbidden {
		return &refusedError{f.status}
	}
	return fmt.Errorf("realtime does not take the connection: %w", f)
}

// follow joins and reads until something ends it.
func (l *link) follow(ctx, life context.Context) error {
	p := l.line.pace
	l.deadline, l.silence = time.NewTimer(p.join), time.NewTimer(p.answer)
	l.silence.Stop()
	beat := time.NewTicker(p.beat)
	defer beat.Stop()
	defer l.deadline.Stop()
	defer l.silence.Stop()
	frames, end := l.read(ctx)
	defer end()
	if err := l.send(ctx, joinRef, l.topic, "phx_join", l.join()); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in := <-frames:
			if err = in.err; err == nil {
				err = l.handle(life, in.data)
			}
		case <-beat.C:
			err = l.beat(ctx)
		case <-l.silence.C:
			err = errors.New("realtime does not answer a heartbeat")
		case <-l.deadline.C:
			err = l.late()
		}
		if err != nil {
			return err
		}
	}
}

func (l *link) late() error {
	if !l.joined {
		return errors.New("realtime does not answer the join")
	}
	return errors.New("realtime has not begun to watch the database")
}

// incoming is a frame, or the end of all frames.
type incoming struct {
	data []byte
	err  error
}

// read reads frames beside the caller, who must call end; the connection does not survive it.
func (l *link) read(ctx context.Context) (frames <-chan incoming, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, done := make(chan incoming), make(chan struct{})
	go func() { // ends with ctx or the connection; end waits for it
		defer close(done)
		for {
			kind, data, err := l.conn.Read(ctx)
			if err == nil && kind != websocket.MessageText {
				continue // a broadcast
			}
			select {
			case out <- incoming{data, closing(err)}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, func() {
		cancel()
		<-done
	}
}

// closing says how the socket ended, without the words of the other end.
func closing(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return errors.New("realtime sent a frame that is too long")
	}
	if code := websocket.CloseStatus(err); code != -1 {
		return fmt.Errorf("realtime closed the connection (code %d)", code)
	}
	return fmt.Errorf("the connection to Realtime was lost: %w", broken(err))
}

func (l *link) join() joinPayload {
	var p joinPayload
	p.Config.Changes = l.line.bindings
	if l.line.kind == legacyKey {
		p.AccessToken = string(l.line.key)
	}
	return p
}

// send writes one frame with the next ref.
func (l *link) send(ctx context.Context, join, topic, event string, payload any) error {
	ctx, cancel := context.WithTimeout(ctx, l.line.pace.answer)
	defer cancel()
	l.refs++
	data := encodeFrame(join, strconv.Itoa(l.refs), topic, event, payload)
	if err := l.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return closing(err)
	}
	return nil
}

func (l *link) beat(ctx context.Context) error {
	if l.awaited != "" {
		return nil // the silence will end it
	}
	if err := l.send(ctx, "", "phoenix", "heartbeat", struct{}{}); err != nil {
		return err
	}
	l.awaited = strconv.Itoa(l.refs)
	l.silence.Reset(l.line.pace.answer)
	return nil
}

// handle takes in one frame. An error ends the link.
func (l *link) handle(life context.Context, data []byte) error {
	f, err := decodeFrame(data)
	switch {
	case err != nil:
		return err
	case l.awaited != "" && f.topic == "phoenix" && f.answers(l.awaited):
		l.awaited = ""
		l.silence.Stop()
		return nil
	case f.topic != l.topic:
		return nil
	}
	switch f.event {
	case "phx_reply":
		return l.handleReply(life, f)
	case "system":
		return l.handleSystem(life, f)
	case "postgres_changes":
		c, err := decodeChange(f.payload)
		if err == nil {
			l.tell(life, signal{change: &c})
		}
		return err
	case "phx_error":
		return errors.New("the channel at Realtime failed")
	case "phx_close":
		return errors.New("realtime closed the channel")
	}
	return nil
}

func (l *link) handleReply(life context.Context, f frame) error {
	var p replyPayload
	if l.joined || !f.answers(joinRef) {
		return nil
	}
	if json.Unmarshal(f.payload, &p) != nil {
		return errFrame
	}
	if p.Status != "ok" {
		return fmt.Errorf("realtime refuses the join (%s)", orUnknown(p.code()))
	}
	if !slices.Equal(p.Response.Changes, l.line.bindings) {
		return errors.New("realtime watches something else than was asked for")
	}
	l.joined = true
	l.deadline.Reset(l.line.pace.confirm)
	l.goLive(life)
	return nil
}

func orUnknown(code string) string {
	if code == "" {
		return "no reason is known"
	}
	return code
}

// errNotWatched is what Realtime says when the table is not published, among other things.
var errNotWatched = errors.New("realtime cannot watch the table: is it in the publication supabase_realtime?")

func (l *link) handleSystem(life context.Context, f frame) error {
	var p systemPayload
	if json.Unmarshal(f.payload, &p) != nil {
		return errFrame
	}
	switch {
	case p.Status == "ok" && p.Extension == "postgres_changes":
		l.ok = true
		l.goLive(life)
	case p.Status == "error" && p.Extension == "postgres_changes":
		return errNotWatched
	case p.Status == "error":
		return errors.New("realtime ends the channel: its limits, its settings or the key have changed")
	}
	return nil
}

// goLive says that changes flow, once the reply and the system's ok are both there, and again at
// every further ok: each may hide a gap.
func (l *link) goLive(life context.Context) {
	if l.joined && l.ok {
		l.deadline.Stop()
		l.tell(life, signal{live: true})
	}
}
