package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/fleetline/fleetline/wire"
)

// BenchmarkMillion has a million machines come by key to a gateway in this process, a thousand to an
// account, and reports what one keeps of the heap and what all of them cost: idle for a whole
// heartbeat, in which each is pinged, answers, and is compared with the directory; a message to all;
// 100,000 deletions at once; a cycle of the collector. All but the sockets and the rows is the real
// thing. It takes a minute or two:
//
//	go test -run '^$' -bench Million -benchtime 1x ./internal/gateway
func BenchmarkMillion(b *testing.B) {
	const all, deleted = 1_000_000, 100_000
	for b.Loop() {
		m := newMultitude(b, all)
		before := m.heap()
		connecting := cpuOf(func() { m.connect(all) })
		b.ReportMetric(float64(connecting.Microseconds())/all, "us/connect")
		time.Sleep(2 * seenEvery) // until the news of their coming is stored
		b.ReportMetric(float64(m.heap()-before)/all, "B/session")
		b.ReportMetric(float64(least(5, runtime.GC).Microseconds())/1000, "ms/GC-cycle")

		pings := m.sent.Load()
		idle := cpuOf(func() { time.Sleep(wire.Heartbeat) })
		b.ReportMetric(idle.Seconds()/wire.Heartbeat.Seconds(), "cores/idle")
		if n := m.sent.Load() - pings; n < all*9/10 || n > all*11/10 {
			b.Errorf("%d pings in a heartbeat", n)
		}
		sweep := least(3, func() { m.g.sweep(b.Context()) })
		b.ReportMetric(sweep.Seconds()/sweepEvery.Seconds(), "cores/sweeps")
		b.ReportMetric(float64(least(5, m.broadcast).Nanoseconds())/all, "ns/delivery")
		b.ReportMetric(float64(cpuOf(func() { m.delete(deleted) }).Microseconds())/deleted, "us/deletion")
		if n := m.g.hub.Len(); n != all-deleted || m.goodbyes.Load() != deleted {
			b.Errorf("%d sessions are left, and %d machines were told", n, m.goodbyes.Load())
		}
		m.stop()
	}
	b.ReportMetric(0, "ns/op")
}

// cpuOf is the CPU time that this process uses meanwhile.
func cpuOf(f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}

// least is the CPU time of the cheapest of several tries: others are doing something, too.
func least(tries int, f func()) time.Duration {
	var least time.Duration
	for i := range tries {
		if took := cpuOf(f); i == 0 || took < least {
			least = took
		}
	}
	return least
}

// multitude is a gateway with machines that are sockets in name only: it is their engine and their
// directory. They take everything, answer pings at once, and are gone when they are ended.
type multitude struct {
	b    *testing.B
	g    *Gateway
	stop func()

	records  []plug
	answers  chan []socket.ID // pings, to be answered
	gone     chan socket.ID
	sent     atomic.Int64
	goodbyes atomic.Int64
	next     uint64 // position of the next message

	news chan directory.Event

	mu      sync.Mutex
	pinged  []socket.ID
	deleted map[string]bool
}

// plug is what an engine keeps of a connection.
type plug struct {
	lastByte atomic.Int64
	ended    atomic.Bool
}

func newMultitude(b *testing.B, size int) *multitude {
	m := &multitude{
		b: b, records: make([]plug, size), answers: make(chan []socket.ID, size), gone: make(chan socket.ID, size),
		news: make(chan directory.Event), deleted: make(map[string]bool),
	}
	tokens, err := token.New(token.Config{Secret: token.Secret(secret), Installation: "abcdefgh"})
	if err != nil {
		b.Fatal(err)
	}
	journal := &quietLog{entries: make(chan *broker.Entry)}
	m.g, err = New(Config{
		Log: journal, Revocations: forgetful{}, Reader: journal, Accounts: multitudeAccounts{m}, Machines: multitudeMachines{m},
		Tokens: tokens, Logger: slog.New(slog.DiscardHandler),
		NewEngine: func(socket.Handler) (socket.Engine, error) { return m, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { // ends with ctx
		if err := m.g.Run(ctx, func() { close(ready) }); err != nil {
			b.Error(err)
		}
	})
	work.Go(func() { m.answer(ctx) })
	m.stop = func() {
		stop()
		work.Wait()
	}
	<-ready
	return m
}

func (m *multitude) heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse)
}

// connect has machines come, no more at once than the gateway lets wait.
func (m *multitude) connect(n int) {
	const wave = 8192
	for i := range n {
		if i%wave == 0 {
			m.await(func() bool { return m.g.hub.Len() >= i-wave/2 })
		}
		id := socket.ID(1<<32 | uint64(i))
		m.records[i].lastByte.Store(time.Now().UnixNano())
		m.g.Opened(id, socket.Peer{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
		m.g.Frame(id, fmt.Appendf(nil, `{"type":"auth","v":1,"apiKey":"key-%d","machine":{"hwid":"%016d","hostname":"h","os":"linux"}}`, i/1000, i))
	}
	m.await(func() bool { return m.g.hub.Len() == n })
}

func (m *multitude) await(is func() bool) {
	for until := time.Now().Add(15 * time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			m.b.Fatalf("%d sessions are there after a quarter of an hour", m.g.hub.Len())
		}
	}
}

func (m *multitude) broadcast() {
	m.next++
	m.g.hub.Deliver(session.Target{}, toAll{m.next, socket.Prepare(wire.AppendData(nil, m.next, "", []byte(`{"to":"all"}`)))})
}

type toAll struct {
	position uint64
	frame    socket.Prepared
}

func (m toAll) Position() uint64           { return m.position }
func (m toAll) Frame(bool) socket.Prepared { return m.frame }

// delete has the directory report the deletion of the first machines.
func (m *multitude) delete(n int) {
	left := m.g.hub.Len() - n
	for i := range n {
		id := machineOf(fmt.Sprintf("%016d", i))
		m.mu.Lock()
		m.deleted[id] = true
		m.mu.Unlock()
		m.news <- directory.Event{Kind: directory.Gone, ID: id, Asked: true}
	}
	m.await(func() bool { return m.g.hub.Len() == left && m.g.revoker.pending() == 0 })
}

// The engine.

var ping = []byte(`"type":"ping"`)

func (m *multitude) Send(id socket.ID, p socket.Prepared) bool {
	m.sent.Add(1)
	if len(p) < 64 && strings.Contains(string(p), string(ping)) {
		m.mu.Lock()
		m.pinged = append(m.pinged, id)
		m.mu.Unlock()
	}
	return true
}

func (m *multitude) SendMany(id socket.ID, frames []socket.Prepared) int {
	for _, p := range frames {
		m.Send(id, p)
	}
	return len(frames)
}

func (m *multitude) End(id socket.ID, _ socket.Prepared, code uint16, _ string) {
	if m.records[id.Slot()].ended.CompareAndSwap(false, true) {
		if code == uint16(wire.CloseMachineDeleted) {
			m.goodbyes.Add(1)
		}
		m.gone <- id // there is room for everybody
	}
}

func (m *multitude) LastByte(id socket.ID) time.Time {
	return time.Unix(0, m.records[id.Slot()].lastByte.Load())
}

func (m *multitude) Close() {}

// answer is the loop of the engine: it calls the gateway for all connections.
func (m *multitude) answer(ctx context.Context) {
	pong := []byte(`{"type":"pong"}`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-m.gone:
			m.g.Closed(id, socket.Closure{Local: true})
		case now := <-tick.C:
			m.mu.Lock()
			pinged := m.pinged
			m.pinged = nil
			m.mu.Unlock()
			for _, id := range pinged {
				m.records[id.Slot()].lastByte.Store(now.UnixNano())
				m.g.Frame(id, pong)
			}
		}
	}
}

// The directory: it knows the rows by their names, so that it keeps none.

func machineOf(hwid string) string { return "mch_abcdefgh_" + hwid }

type multitudeAccounts struct{ *multitude }

func (multitudeAccounts) Lookup(_ context.Context, keys []directory.Key) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(keys))
	for i, k := range keys {
		answers[i] = accountAnswer(strings.TrimPrefix(string(k), "key-"))
	}
	return answers
}

func (multitudeAccounts) Check(_ context.Context, ids []string) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(ids))
	for i, id := range ids {
		answers[i] = accountAnswer(strings.TrimPrefix(id, "acc_"))
	}
	return answers
}

func accountAnswer(number string) directory.AccountAnswer {
	return directory.AccountAnswer{Verdict: directory.Found, Account: directory.Account{
		ID: "acc_" + number, Digests: []directory.Digest{directory.Key("key-" + number).Digest()},
	}}
}

func (multitudeAccounts) Watch(ctx context.Context, report func(directory.Event)) error {
	report(directory.Event{Kind: directory.Live})
	<-ctx.Done()
	return ctx.Err()
}

type multitudeMachines struct{ *multitude }

func (multitudeMachines) Enrol(_ context.Context, es []directory.Enrolment) []directory.MachineAnswer {
	answers := make([]directory.MachineAnswer, len(es))
	for i, e := range es {
		answers[i] = directory.MachineAnswer{Verdict: directory.Found, Machine: directory.Machine{ID: machineOf(e.Info.HWID), AccountID: e.AccountID}}
	}
	return answers
}

func (m multitudeMachines) Check(_ context.Context, ids []string) []directory.MachineAnswer {
	m.mu.Lock()
	defer m.mu.Unlock()
	answers := make([]directory.MachineAnswer, len(ids))
	for i, id := range ids {
		number, _ := strconv.Atoi(strings.TrimPrefix(id, "mch_abcdefgh_"))
		answers[i] = directory.MachineAnswer{Verdict: directory.Found, Machine: directory.Machine{ID: id, AccountID: "acc_" + strconv.Itoa(number/1000)}}
		if m.deleted[id] {
			answers[i].Verdict = directory.Deleted
		}
	}
	return answers
}

func (multitudeMachines) Seen(context.Context, []directory.Seen) error { return nil }

func (multitudeMachines) DeleteAll(context.Context, string) error { return nil }

func (m multitudeMachines) Watch(ctx context.Context, report func(directory.Event)) error {
	report(directory.Event{Kind: directory.Live})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-m.news:
			report(e)
		}
	}
}

// forgetful stores revocations nowhere.
type forgetful struct{}

func (forgetful) Revoke(context.Context, broker.Revocation) error { return nil }

func (forgetful) Revocations(context.Context) ([]broker.Revocation, error) { return nil, nil }
