package session

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is one entry of shelf.
type message struct {
	seq         uint64
	to          Target
	frame, bare socket.Prepared
}

func (m *message) Position() uint64 { return m.seq }

func (m *message) Frame(bare bool) socket.Prepared {
	if bare {
		return m.bare
	}
	return m.frame
}

func newMessage(seq uint64, to Target) *message {
	data := fmt.Appendf(nil, "%d", seq)
	return &message{seq: seq, to: to,
		frame: socket.Prepare(wire.AppendData(nil, seq, "", data)),
		bare:  socket.Prepare(wire.AppendData(nil, 0, "", data))}
}

// shelf is a log in memory: what lies at or below floor must be read with Read, and what lies at or
// below gone is gone.
type shelf struct {
	mu       sync.Mutex
	messages []*message
	floor    uint64
	gone     uint64
	fail     bool
	reads    int
}

func (l *shelf) head() uint64 {
	if n := len(l.messages); n > 0 {
		return l.messages[n-1].seq
	}
	return 0
}

func (l *shelf) Recent(dst []Message, to Target, after uint64, maxBytes int) ([]Message, uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.floor {
		return dst, 0, false
	}
	msgs, reached := l.after(to, after, maxBytes)
	return append(dst, msgs...), reached, true
}

func (l *shelf) Read(_ context.Context, reqs []Request) []Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	results := make([]Result, len(reqs))
	for i, r := range reqs {
		if l.fail {
			results[i].Err = context.DeadlineExceeded
			continue
		}
		if r.After < l.gone {
			results[i].Gap = l.gone
		}
		results[i].Messages, results[i].Reached = l.after(r.To, max(r.After, l.gone), r.MaxBytes)
	}
	return results
}

func (l *shelf) after(to Target, after uint64, maxBytes int) (msgs []Message, reached uint64) {
	for _, m := range l.messages {
		if m.seq <= after || m.to.Machine != "" && m.to.Machine != to.Machine || m.to.Account != "" && m.to.Account != to.Account {
			continue
		}
		msgs = append(msgs, m)
		if maxBytes -= len(m.frame); maxBytes <= 0 {
			return msgs, m.seq
		}
	}
	return msgs, max(after, l.head())
}

// world is a hub on the memory engine, with a tail that is the test itself.
type world struct {
	t      testing.TB
	engine *socket.Memory
	hub    *Hub
	log    *shelf
	next   uint64

	mu     sync.Mutex
	closed map[socket.ID]socket.Closure
}

func newWorld(t testing.TB, c Config) *world {
	w := &world{t: t, log: &shelf{}, closed: make(map[socket.ID]socket.Closure)}
	w.engine = socket.NewMemory(socket.Config{Handler: w})
	c.Engine, c.Log = w.engine, w.log
	hub, err := New(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.hub = hub
	return w
}

func (w *world) close() {
	w.engine.Close()
	w.hub.Close()
}

func (w *world) Opened(socket.ID, socket.Peer) {}
func (w *world) Frame(socket.ID, []byte)       {}
func (w *world) Binary(socket.ID)              {}

func (w *world) Drained(id socket.ID) {
	if s, ok := w.hub.Of(id); ok {
		s.Drained()
	}
}

func (w *world) Closed(id socket.ID, how socket.Closure) {
	if s, ok := w.hub.Of(id); ok {
		w.hub.Leave(s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[id] = how
}

var hello = socket.Prepare([]byte(`{"type":"auth_success"}`))

// connect makes a session that starts after a position and reads its hello.
func (w *world) connect(who Identity, after uint64) (Session, *socket.MemoryPeer) {
	s, peer := w.enter(who)
	s.Start(hello, after, time.Time{})
	if p, _ := peer.Next(); string(p) != string(hello.Payload()) {
		w.t.Fatalf("the first frame is %s", p)
	}
	return s, peer
}

func (w *world) enter(who Identity) (Session, *socket.MemoryPeer) {
	peer := w.engine.Dial(socket.Peer{})
	s, err := w.hub.Enter(peer.ID(), who, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, peer
}

// publish is what the tail does, and waits until the message is handed over.
func (w *world) publish(to Target) uint64 {
	defer w.settle()
	return w.post(to)
}

// publishLive brings a live-only message.
func (w *world) publishLive(to Target) {
	w.hub.Deliver(to, newMessage(0, to))
	w.settle()
}

func (w *world) settle() {
	w.hub.backlog.settle()
	w.hub.backlog.done()
}

// post puts a message into the log before the hub hears of it.
func (w *world) post(to Target) uint64 {
	w.next++
	m := newMessage(w.next, to)
	w.log.mu.Lock()
	w.log.messages = append(w.log.messages, m)
	w.log.mu.Unlock()
	w.hub.Deliver(to, m)
	return w.next
}

// seqs reads the positions of the data frames that wait for the peer.
func seqs(t testing.TB, peer *socket.MemoryPeer) []uint64 {
	t.Helper()
	var got []uint64
	for {
		p, ok := peer.Next()
		if !ok {
			return got
		}
		var f struct {
			Type string
			Data uint64
		}
		if err := json.Unmarshal(p, &f); err != nil {
			t.Fatalf("frame %s: %v", p, err)
		}
		if f.Type == "data" {
			got = append(got, f.Data)
		}
	}
}
