package supabase

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/fleetline/fleetline/internal/directory"
)

// peer is Realtime's end of one connection, and follows a test's script.
type peer struct {
	t     *testing.T
	conn  *websocket.Conn
	join  []json.RawMessage // the join frame
	topic string
	url   string
}

// stage is a Realtime whose every connection plays the next act. The last act is repeated.
type stage struct {
	*httptest.Server
	t     *testing.T
	begin sync.Once
	ready chan struct{} // closed when a watch hears what comes

	mu sync.Mutex
	// Guarded by mu.
	acts   []func(*peer)
	played int
	urls   []string
}

func newStage(t *testing.T, acts ...func(*peer)) *stage {
	s := &stage{t: t, acts: acts, ready: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/realtime/v1/websocket") {
		empty(w, r)
		return
	}
	select {
	case <-s.ready:
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	act := s.acts[min(s.played, len(s.acts)-1)]
	s.played++
	s.urls = append(s.urls, r.RequestURI)
	s.mu.Unlock()
	if act == nil {
		say(w, 500, `{"error":"Something with `+string(secret)+` in it"}`)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	act(&peer{t: s.t, conn: conn, url: r.RequestURI})
}

func (s *stage) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.played
}

// read is the next frame; nil: the connection is over.
func (p *peer) read() []json.RawMessage {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := p.conn.Read(ctx)
	var f []json.RawMessage
	if err != nil || json.Unmarshal(data, &f) != nil || len(f) != 5 {
		return nil
	}
	if string(f[3]) == `"heartbeat"` {
		p.send(fmt.Sprintf(`[null,%s,"phoenix","phx_reply",{"status":"ok","response":{}}]`, f[1]))
	}
	return f
}

// beat waits for a heartbeat.
func (p *peer) beat() {
	for f := p.read(); f != nil && string(f[3]) != `"heartbeat"`; {
		f = p.read()
	}
}

// next is the next frame that is no heartbeat; those are answered.
func (p *peer) next() []json.RawMessage {
	for {
		if f := p.read(); f == nil || string(f[3]) != `"heartbeat"` {
			return f
		}
	}
}

func (p *peer) send(frame string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = p.conn.Write(ctx, websocket.MessageText, []byte(frame))
}

// event sends an event on the joined topic.
func (p *peer) event(name, payload string) {
	p.send(`[null,null,` + p.topic + `,"` + name + `",` + payload + `]`)
}

func (p *peer) takeJoin() bool {
	if p.join = p.next(); p.join == nil {
		return false
	}
	p.topic = string(p.join[2])
	return true
}

// reply answers the join.
func (p *peer) reply(status, response string) {
	p.send(fmt.Sprintf(`[%s,%s,%s,"phx_reply",{"status":%q,"response":%s}]`, p.join[0], p.join[1], p.topic, status, response))
}

const (
	echo      = `{"postgres_changes":[{"id":31339675,"event":"*","schema":"public","table":"user"}]}`
	systemOK  = `{"message":"Subscribed to PostgreSQL","status":"ok","extension":"postgres_changes","channel":"x"}`
	systemBad = `{"message":"Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: [event: *, schema: public, table: user, filters: []]","status":"error","extension":"postgres_changes","channel":"x"}`
	systemEnd = `{"message":"Token has expired 1 seconds ago","status":"error","extension":"system","channel":"x"}`
)

// subscribe joins as a healthy Realtime does.
func (p *peer) subscribe() bool {
	if !p.takeJoin() {
		return false
	}
	p.reply("ok", echo)
	p.event("presence_state", `{}`)
	p.event("system", systemOK)
	return true
}

// wait answers heartbeats until the other end leaves.
func (p *peer) wait() {
	for p.next() != nil {
	}
}

// healthy subscribes and stays.
func healthy(p *peer) {
	if p.subscribe() {
		p.wait()
	}
}

// heard are the events of a watch of accounts, as text.
type heard struct {
	begun atomic.Bool

	mu   sync.Mutex
	list []string
}

func (s *stage) config(j *journal) Config {
	return Config{URL: s.URL, ServiceKey: secret, Installation: installation, Logger: j.logger(), pace: quick()}
}

// watch opens the directory and hears its accounts' events, without the state before the first
// connection.
func (s *stage) watch(c Config) *heard {
	s.t.Helper()
	d, err := Open(context.WithoutCancel(s.t.Context()), c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	h := hear(s.t, d)
	waitUntil(s.t, "the watch has begun", func() bool { return h.begun.Load() })
	s.begin.Do(func() { close(s.ready) }) // only now may anything happen
	return h
}

// hear hears the events of accounts until the test ends.
func hear(t *testing.T, d *Directory) *heard {
	h := &heard{}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var work sync.WaitGroup
	work.Go(func() { // ends with ctx
		_ = d.Accounts().Watch(ctx, func(e directory.Event) {
			h.begun.Store(true)
			h.mu.Lock()
			defer h.mu.Unlock()
			if e.Err != errConnecting {
				h.list = append(h.list, text(e))
			}
		})
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return h
}

func text(e directory.Event) string {
	switch e.Kind {
	case directory.Live:
		return "live"
	case directory.Lost:
		return "lost: " + e.Err.Error()
	case directory.Gone:
		return "gone " + e.ID
	}
	return "changed " + e.ID
}

// waitFor waits for an event that begins so, and forgets it and those before.
func (h *heard) waitFor(t *testing.T, prefix string) (event string) {
	t.Helper()
	waitUntil(t, "there is a report of "+prefix, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(h.list, func(e string) bool { return strings.HasPrefix(e, prefix) })
		if i >= 0 {
			event, h.list = h.list[i], h.list[i+1:]
		}
		return i >= 0
	})
	return event
}

// has tells whether the event comes within a time.
func (h *heard) has(event string, within time.Duration) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !slices.Contains(h.all(), event) {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.list...)
}

// expect waits for the events, which must be the first of all. "lost: " is lost for any reason.
func (h *heard) expect(t *testing.T, want ...string) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(h.all()) < len(want) {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("heard only %q, want %q", h.all(), want)
		}
	}
	for i, got := range h.all()[:len(want)] {
		if got != want[i] && (want[i] != "lost: " || !strings.HasPrefix(got, want[i])) {
			t.Errorf("event %d is %q, want %q", i, got, want[i])
		}
	}
}

func TestChangesAreReported(t *testing.T) {
	change := func(kind, record, old string) string {
		return `{"ids":[31339675],"data":{"type":"` + kind + `","schema":"public","table":"user","columns":[{"name":"id","type":"int8"}],"commit_timestamp":"2026-01-01T00:00:00.000Z","errors":null,"record":` + record + `,"old_record":` + old + `}}`
	}
	s := newStage(t, func(p *peer) {
		if !p.subscribe() {
			return
		}
		p.event("postgres_changes", change("INSERT", `{"id":1,"apikey":"k"}`, `null`))
		p.event("postgres_changes", change("UPDATE", `{"id":9007199254740993,"apikey":"k"}`, `{"id":9007199254740993}`))
		p.event("postgres_changes", change("UPDATE", `{"id":3}`, `{"id":2}`))
		p.event("postgres_changes", change("UPDATE", `{"id":"text"}`, `{}`))
		p.event("postgres_changes", change("DELETE", `{}`, `{}`))
		p.event("postgres_changes", strings.Replace(change("DELETE", `{}`, `{"id":7}`), "user", "other", 1))
		p.event("something_new", `{"of":"later"}`)
		p.send(`[null,null,"realtime:other","phx_close",{}]`)
		p.event("postgres_changes", change("DELETE", `{}`, `{"id":"3f333df6-90a4-4fda-8dd3-9485d27cee36"}`))
		p.event("system", systemOK)
		p.wait()
	})
	j := &journal{}
	s.watch(s.config(j)).expect(t, "live", "changed 9007199254740993", "gone 2", "changed 3", "changed text",
		"gone 3f333df6-90a4-4fda-8dd3-9485d27cee36", "live")
	if !strings.Contains(j.String(), "its id must be its primary key") {
		t.Errorf("nobody is told of a deletion without an id: %s", j)
	}
}

// ends are acts after which a directory must say why, and come back.
var ends = []struct {
	name string
	act  func(*peer)
	want string
}{
	{"PhxError", func(p *peer) { p.subscribe(); p.event("phx_error", `{}`); p.wait() }, "the channel at Realtime failed"},
	{"PhxClose", func(p *peer) { p.subscribe(); p.event("phx_close", `{}`); p.wait() }, "realtime closed the channel"},
	{"SystemThenClose", func(p *peer) {
		p.subscribe()
		p.event("system", systemEnd)
		p.event("phx_close", `{}`)
		p.wait()
	}, "realtime ends the channel: its limits, its settings or the key have changed"},
	{"SubscriptionLostLater", func(p *peer) { p.subscribe(); p.event("system", systemBad); p.wait() }, errNotWatched.Error()},
	{"Drop", func(p *peer) { p.subscribe(); _ = p.conn.CloseNow() }, "the connection to Realtime was lost: the connection was closed before the answer was whole"},
	{"ServerRestarts", func(p *peer) { p.subscribe(); _ = p.conn.Close(1012, string(secret)) }, "realtime closed the connection (code 1012)"},
	{"NormalClose", func(p *peer) { p.subscribe(); _ = p.conn.Close(1000, "bye") }, "realtime closed the connection (code 1000)"},
	{"Blackhole", func(p *peer) { p.subscribe(); p.deaf() }, "realtime does not answer a heartbeat"},
	{"GarbageFrame", func(p *peer) { p.subscribe(); p.send(`{"not":"a frame"}`); p.wait() }, errFrame.Error()},
	{"GarbageChange", func(p *peer) { p.subscribe(); p.event("postgres_changes", `{"data":{"type":"TRUNCATE"}}`); p.wait() }, errChange.Error()},
	{"TooLongFrame", func(p *peer) { p.subscribe(); p.send(`["` + strings.Repeat("x", maxFrame) + `"]`); p.wait() }, ""}, // or its heartbeat is missed first
}

// deaf takes frames and answers nothing.
func (p *peer) deaf() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, _, err := p.conn.Read(ctx)
		cancel()
		if err != nil {
			return
		}
	}
}

func TestALiveFeedIsLostAndComesBackAfter(t *testing.T) {
	t.Parallel()
	for _, x := range ends {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, j := newStage(t, x.act, healthy), &journal{}
			h := s.watch(s.config(j))
			h.expect(t, "live", "lost: "+x.want, "live")
			expectNoSecrets(t, j.String()+strings.Join(h.all(), " "))
		})
	}
}

// starts are acts that never come to life.
var starts = []struct {
	name string
	act  func(*peer)
	want string
}{
	{"Refused500", nil, "realtime does not take the connection: HTTP 500"},
	{"JoinError", func(p *peer) {
		p.takeJoin()
		p.reply("error", `{"reason":"ClientJoinRateLimitReached: Too many joins per second"}`)
		p.wait()
	}, "realtime refuses the join (ClientJoinRateLimitReached)"},
	{"JoinErrorWithoutACode", func(p *peer) { p.takeJoin(); p.reply("error", `{"reason":"`+string(secret)+` is wrong"}`); p.wait() },
		"realtime refuses the join (no reason is known)"},
	{"OtherEcho", func(p *peer) {
		p.takeJoin()
		p.reply("ok", `{"postgres_changes":[{"id":1,"event":"*","schema":"public","table":"other"}]}`)
		p.wait()
	}, "realtime watches something else than was asked for"},
	{"NoEcho", func(p *peer) { p.takeJoin(); p.reply("ok", `{}`); p.event("system", systemOK); p.wait() }, "realtime watches something else than was asked for"},
	{"NotPublished", func(p *peer) { p.takeJoin(); p.reply("ok", echo); p.event("system", systemBad); p.wait() }, errNotWatched.Error()},
	{"NoReply", func(p *peer) { p.takeJoin(); p.wait() }, "realtime does not answer the join"},
	{"NoSystemOK", func(p *peer) { p.takeJoin(); p.reply("ok", echo); p.wait() }, "realtime has not begun to watch the database"},
	{"OKOfAnotherExtension", func(p *peer) {
		p.takeJoin()
		p.reply("ok", echo)
		p.event("system", `{"status":"ok","extension":"presence"}`)
		p.wait()
	}, "realtime has not begun to watch the database"},
}

func TestAFeedThatDoesNotBeginIsLostAndTriedAgainAfter(t *testing.T) {
	t.Parallel()
	for _, x := range starts {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, j := newStage(t, x.act, healthy), &journal{}
			c := s.config(j)
			c.pace.join, c.pace.confirm = 3*time.Second, 3*time.Second
			h := s.watch(c)
			h.expect(t, "lost: "+x.want, "live")
			expectNoSecrets(t, j.String()+strings.Join(h.all(), " "))
		})
	}
}

func TestALateSystemOKIsWaitedFor(t *testing.T) {
	reported := make(chan struct{})
	s := newStage(t, func(p *peer) {
		p.takeJoin()
		p.reply("ok", echo)
		p.beat() // time passes
		close(reported)
		p.event("system", systemOK)
		p.wait()
	})
	h := s.watch(s.config(&journal{}))
	<-reported
	h.expect(t, "live")
}

func TestASystemOKMayComeBeforeTheReply(t *testing.T) {
	s := newStage(t, func(p *peer) {
		p.takeJoin()
		p.event("system", systemOK)
		p.reply("ok", echo)
		p.wait()
	})
	s.watch(s.config(&journal{})).expect(t, "live")
}

func TestEverySystemOKMayHideAGap(t *testing.T) {
	s := newStage(t, func(p *peer) {
		p.subscribe()
		p.event("system", systemOK)
		p.event("system", systemOK)
		p.wait()
	})
	s.watch(s.config(&journal{})).expect(t, "live", "live", "live")
}

func TestAConnectionIsReplacedBeforeItEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t, healthy, nil, healthy)
	c := s.config(&journal{})
	c.Renew = 300 * time.Millisecond
	h := s.watch(c)
	waitUntil(t, "it is replaced twice", func() bool { return s.count() >= 5 })
	h.expect(t, "live", "live", "live")
	for _, e := range h.all() {
		if e != "live" {
			t.Errorf("while it was replaced: %s", e)
		}
	}
}

func TestChangesFlowWhileTheConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	s := newStage(t, func(p *peer) {
		p.subscribe()
		<-second
		p.event("postgres_changes", `{"ids":[1],"data":{"type":"DELETE","schema":"public","table":"user","old_record":{"id":1}}}`)
		p.wait()
	}, func(p *peer) {
		p.takeJoin()
		close(second)
		p.reply("ok", echo)
		p.wait() // its system ok does not come, so it never takes over
	}, healthy)
	c := s.config(&journal{})
	c.Renew = 300 * time.Millisecond
	s.watch(c).expect(t, "live", "gone 1")
}

func TestOnlyALegacyKeyIsSentAsAnAccessToken(t *testing.T) {
	joins := make(chan string, 2)
	s := newStage(t, func(p *peer) {
		if p.subscribe() {
			joins <- string(p.join[4])
			p.wait()
		}
	})
	legacy := token(`{"role":"service_role"}`)
	for _, key := range []directory.Key{secret, legacy} {
		c := s.config(&journal{})
		c.ServiceKey = key
		s.watch(c)
		join := <-joins
		if got := strings.Contains(join, string(key)); got != (key == legacy) || strings.Contains(join, "sb_secret") {
			t.Errorf("the join is %s", join)
		}
		if strings.Contains(join, `"event":"*","schema":"public","table":"user"`) == false {
			t.Errorf("the join asks for %s", join)
		}
	}
	for _, u := range s.urls {
		if !strings.Contains(u, "vsn=2.0.0") {
			t.Errorf("the URL is %s", u)
		}
	}
}

func TestARefusedKeyIsNotTriedInAHurry(t *testing.T) {
	for _, status := range []int{401, 403} {
		s := newScripted(t)
		j := &journal{}
		c := s.config(j)
		c.pace.refused = time.Hour
		refused := 0
		s.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/realtime/") {
				refused++
				say(w, status, `{"error":"`+string(secret)+`"}`)
				return
			}
			empty(w, r)
		})
		d := s.open(t, c)
		waitUntil(t, "it is refused", func() bool {
			e := d.accountFeed.State()
			return e.Err.Error() == fmt.Sprintf("realtime refuses the key (HTTP %d)", status)
		})
		expectNoSecrets(t, j.String())
		d.Close()
		if s.Server.Close(); refused != 1 {
			t.Errorf("it was tried %d times", refused)
		}
	}
}
