package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/gateway"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/nats-io/nats.go/jetstream"
)

// deliverySteps is the length of one run. FLEETLINE_TEST_SEED repeats a run.
const deliverySteps = 10_000

// TestEveryMessageIsDeliveredInOrderOnceOrCoveredByATrueGap drives the real hub and the real broker
// with a random schedule of publishes, one by one and in bursts, live-only ones among them, slow and
// stopped sockets, reconnects, restarts of the broker and trimming of the log.
func TestEveryMessageIsDeliveredInOrderOnceOrCoveredByATrueGap(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FLEETLINE_TEST_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	w := &fleet{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0))}
	for i := range 12 {
		w.machines = append(w.machines, &machine{name: fmt.Sprint("m*", i), account: fmt.Sprint("acc.", i%3), bare: i%6 == 5})
	}
	w.open()
	for w.step = range deliverySteps {
		w.act()
		if t.Failed() {
			t.Fatalf("failed at step %d; repeat with FLEETLINE_TEST_SEED=%d", w.step, seed)
		}
	}
	w.settle()
	w.close()
	t.Logf("%d messages, %d delivered, %d of %d live-only ones to a machine, %d gaps, %d positions not recovered, %d restarts, %d breaks, trimmed to %d of %d",
		len(w.published), w.delivered, w.deliveredLive, len(w.live), w.gaps, w.unrecovered, w.restarts, w.breaks.Load(), w.trimmed, w.last())
	if w.gaps == 0 || w.restarts == 0 || w.delivered == 0 || w.deliveredLive == 0 {
		t.Error("the run did not reach everything it is meant to test")
	}
}

type publication struct {
	seq uint64
	to  broker.Target
	n   int // what its data begins with: machines that are told no position know it by that
}

// machine is a client: it keeps its position and checks what it is handed.
type machine struct {
	name, account string
	bare          bool
	peer          *socket.MemoryPeer
	known         bool // it has a position to come back with
	epoch         string
	pos           uint64
	next          int // index into published of the first message that may still come
	nextLive      int // index into live, likewise
}

type fleet struct {
	t    *testing.T
	dir  string
	rng  *rand.Rand
	step int

	broker   *broker.Broker
	engine   *socket.Memory
	hub      *session.Hub
	stopTail context.CancelFunc
	tail     sync.WaitGroup

	machines  []*machine
	published []publication
	live      []broker.Target // of the live-only messages
	trimmed   uint64          // everything up to it was removed from the log

	delivered, deliveredLive, gaps, unrecovered, restarts int

	breaks atomic.Int64
}

func (w *fleet) open() {
	var err error
	w.broker, err = broker.Open(w.t.Context(), broker.Config{Dir: w.dir, MaxBytes: 512 << 20, WindowBytes: 24 << 10})
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = socket.NewMemory(socket.Config{Handler: w})
	w.hub, err = session.New(session.Config{Engine: w.engine, Log: gateway.ReadFrom(w.broker), Heartbeat: time.Second}, w.broker.Last())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stopTail = stop
	w.tail.Go(func() { // until stopTail
		_ = w.broker.Tail(ctx, func(e *broker.Entry) {
			switch e.Kind {
			case broker.Data:
				w.hub.Deliver(session.Target(e.Target), e)
			case broker.Break:
				w.breaks.Add(1)
				w.hub.Break(e.Position(), func(s session.Session) { s.End(nil, session.Ending{Code: 1012}) })
			default:
				w.hub.Pass(e.Position())
			}
		})
	})
}

func (w *fleet) close() {
	w.engine.Close()
	w.stopTail()
	w.tail.Wait()
	w.hub.Close()
	if err := w.broker.Close(); err != nil {
		w.t.Error(err)
	}
	for _, m := range w.machines {
		m.peer = nil
	}
}

func (w *fleet) Opened(socket.ID, socket.Peer) {}
func (w *fleet) Frame(socket.ID, []byte)       {}
func (w *fleet) Binary(socket.ID)              {}

func (w *fleet) Drained(id socket.ID) {
	if s, ok := w.hub.Of(id); ok {
		s.Drained()
	}
}

func (w *fleet) Closed(id socket.ID, _ socket.Closure) {
	if s, ok := w.hub.Of(id); ok {
		w.hub.Leave(s)
	}
}

func (w *fleet) last() uint64 {
	if n := len(w.published); n > 0 {
		return w.published[n-1].seq
	}
	return 0
}

// act is one random step.
func (w *fleet) act() {
	m := w.machines[w.rng.IntN(len(w.machines))]
	switch n := w.rng.IntN(1000); {
	case n < 10:
		w.publish(64)
	case n < 350:
		w.publish(4)
	case n < 450:
		w.publishLive()
	case n < 800:
		w.read(m, 1+w.rng.IntN(20))
	case n < 880:
		if m.peer == nil {
			w.connect(m)
		}
	case n < 930:
		if m.peer != nil {
			m.peer.SetRoom(w.room())
		}
	case n < 990:
		if m.peer != nil {
			w.read(m, w.rng.IntN(5))
		}
		if m.peer != nil {
			m.peer.Drop()
			m.peer = nil
		}
	case n < 997:
		w.trim()
	default:
		w.restarts++
		for _, m := range w.machines {
			w.read(m, w.rng.IntN(50))
		}
		w.close()
		w.open()
	}
}

func (w *fleet) room() socket.Room {
	return [...]socket.Room{{}, {Bytes: 200, Frames: 1}, {Bytes: 4 << 10, Frames: 20}, {Bytes: 1 << 20, Frames: 1000}}[w.rng.IntN(4)]
}

func (w *fleet) target() broker.Target {
	m := w.machines[w.rng.IntN(len(w.machines))]
	return [...]broker.Target{{Machine: m.name}, {Account: m.account}, {}, {Machine: "nobody"}}[w.rng.IntN(4)]
}

// publishLive publishes live-only messages. Their data shows their number to bare machines too.
func (w *fleet) publishLive() {
	for range 1 + w.rng.IntN(8) {
		to, data := w.target(), json.RawMessage(fmt.Sprintf(`["live",%d]`, len(w.live)))
		if _, err := w.broker.PublishLive(context.Background(), broker.Message{Target: to, Data: data}); err != nil {
			w.t.Fatal(err)
		}
		w.live = append(w.live, to)
	}
}

// publish publishes up to most messages at once, each for somebody else.
func (w *fleet) publish(most int) {
	var pending []*broker.Pending
	var to []broker.Target
	for i := range 1 + w.rng.IntN(most) {
		to = append(to, w.target())
		data := json.RawMessage(fmt.Sprintf(`[%d,%q]`, len(w.published)+i, strings.Repeat("x", w.rng.IntN(400))))
		p, err := w.broker.PublishAsync(context.Background(), broker.Message{Target: to[i], Data: data})
		if err != nil {
			w.t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		r, err := p.Wait(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		w.published = append(w.published, publication{r.Seq, to[i], len(w.published)})
	}
}

// trim removes the log's oldest entries, as its age does.
func (w *fleet) trim() {
	if len(w.published) == 0 {
		return
	}
	back := min(len(w.published), 1+w.rng.IntN(400))
	seq := w.published[len(w.published)-back].seq
	js := w.broker.JetStream()
	stream, err := js.Stream(context.Background(), "FLEETLINE_"+w.broker.Epoch())
	if err == nil {
		err = stream.Purge(context.Background(), jetstream.WithPurgeSequence(seq+1))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.trimmed = max(w.trimmed, seq)
}

func (w *fleet) connect(m *machine) {
	m.peer = w.engine.Dial(socket.Peer{})
	s, err := w.hub.Enter(m.peer.ID(), session.Identity{Machine: m.name, Account: m.account, Bare: m.bare}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	after := w.hub.Begun()
	if m.known && !m.bare {
		var recovered bool
		after, recovered = w.broker.Resolve(m.epoch, m.pos)
		switch {
		case recovered && after != m.pos:
			w.t.Errorf("%s: recovered from %d at %d", m.name, m.pos, after)
		case !recovered && after > w.trimmed:
			w.t.Errorf("%s: not recovered from %d to %d, and only %d is trimmed", m.name, m.pos, after, w.trimmed)
		case !recovered:
			w.unrecovered++
		}
	}
	m.known, m.epoch, m.pos = true, w.broker.Epoch(), after
	m.next = w.indexAfter(after)
	s.Start(socket.Prepare([]byte(`{"type":"auth_success"}`)), after, time.Time{})
}

// indexAfter is the index of the first publication past a position.
func (w *fleet) indexAfter(pos uint64) int {
	i := 0
	for i < len(w.published) && w.published[i].seq <= pos {
		i++
	}
	return i
}

// read takes up to n frames and checks each.
func (w *fleet) read(m *machine, n int) {
	for range n {
		if m.peer == nil {
			return
		}
		_, ended := m.peer.Closure()
		payload, ok := m.peer.Next()
		switch {
		case ok:
			w.check(m, payload)
		case ended:
			m.peer = nil // it comes back later
		default:
			return
		}
	}
}

func (w *fleet) check(m *machine, payload []byte) {
	var f struct {
		Type string
		Seq  uint64
		Data []any
	}
	if err := json.Unmarshal(payload, &f); err != nil {
		w.t.Fatal(err)
	}
	switch {
	case f.Type == "gap":
		w.gaps++
		if f.Seq <= m.pos || f.Seq > w.trimmed {
			w.t.Errorf("%s: a gap up to %d was told at %d, and %d is trimmed", m.name, f.Seq, m.pos, w.trimmed)
		}
		m.pos, m.next = f.Seq, w.indexAfter(f.Seq)
	case f.Type == "ping" && f.Seq > 0:
		if p, ok := w.expected(m); ok && p.seq <= f.Seq {
			w.t.Errorf("%s: a ping says that %d has been handed over, and %d has not", m.name, f.Seq, p.seq)
		}
		m.pos = max(m.pos, f.Seq)
	case f.Type == "data" && f.Data[0] == "live":
		w.deliveredLive++
		w.checkLive(m, int(f.Data[1].(float64)), f.Seq)
	case f.Type == "data" && m.bare:
		w.delivered++
		w.checkBare(m, int(f.Data[0].(float64)))
	case f.Type == "data":
		w.delivered++
		p, ok := w.expected(m)
		if !ok || p.seq != f.Seq {
			w.t.Errorf("%s at %d: got %d, want %d (%v); trimmed to %d", m.name, m.pos, f.Seq, p.seq, ok, w.trimmed)
		}
		m.pos = f.Seq
		m.next++
	}
}

// checkBare checks a message for a machine that is told neither positions nor gaps: what it was not
// handed before this one must have been trimmed.
func (w *fleet) checkBare(m *machine, n int) {
	p, ok := w.expected(m)
	for ok && p.n < n && p.seq <= w.trimmed {
		m.next++
		p, ok = w.expected(m)
	}
	if !ok || p.n != n {
		w.t.Errorf("%s, which is bare: got message %d, want %d at %d (%v); trimmed to %d", m.name, n, p.n, p.seq, ok, w.trimmed)
	}
	m.next++
}

// checkLive checks a live-only message: any may be missing, but they come in order and once.
func (w *fleet) checkLive(m *machine, n int, seq uint64) {
	to := w.live[n]
	mine := (to.Machine == "" || to.Machine == m.name) && (to.Account == "" || to.Account == m.account)
	if n < m.nextLive || !mine || seq != 0 {
		w.t.Errorf("%s: got live-only message %d for %v with position %d, and the next is %d", m.name, n, to, seq, m.nextLive)
	}
	m.nextLive = n + 1
}

// isOwed tells whether a message must still come. One that was trimmed need not, and nobody tells a
// bare machine.
func (w *fleet) isOwed(m *machine) bool {
	p, ok := w.expected(m)
	if !m.bare || !ok || p.seq > w.trimmed {
		return ok
	}
	later := machine{name: m.name, account: m.account, next: w.indexAfter(w.trimmed)}
	_, ok = w.expected(&later)
	return ok
}

// expected is the next message for the machine, in the order of the log.
func (w *fleet) expected(m *machine) (publication, bool) {
	for ; m.next < len(w.published); m.next++ {
		to := w.published[m.next].to
		if (to.Machine == "" || to.Machine == m.name) && (to.Account == "" || to.Account == m.account) {
			return w.published[m.next], true
		}
	}
	return publication{}, false
}

// settle lets every machine come to the head and checks that nothing is missing.
func (w *fleet) settle() {
	for _, m := range w.machines {
		if m.peer == nil {
			w.connect(m)
		}
		m.peer.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 1000})
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, m := range w.machines {
		for {
			if !w.isOwed(m) {
				break
			}
			ctx, cancel := context.WithDeadline(context.Background(), deadline)
			payload, err := m.peer.Read(ctx)
			cancel()
			var closed *socket.CloseError
			if errors.As(err, &closed) {
				w.connect(m)
				m.peer.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 1000})
				continue
			}
			if err != nil {
				p, _ := w.expected(m)
				w.t.Errorf("%s at %d: %d never came: %v", m.name, m.pos, p.seq, err)
				break
			}
			w.check(m, payload)
		}
	}
	if err := w.hub.Check(); err != nil {
		w.t.Error(err)
	}
}
