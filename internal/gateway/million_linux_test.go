package gateway

import (
	"bytes"
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
// account, and reports what one keeps of the heap and what all of them cost: a cycle of the collector
// while they are at rest; a heartbeat, in which each is pinged and answers; a comparison of all with the
// directory, as there is one every five seconds; a message to all; 100,000 deletions at once. All but
// the sockets and the rows is the real thing; those keep a few bytes for each machine, made before the
// heap is measured. It takes a few minutes:
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

		// The sweep waits for the directory meanwhile.
		m.rows.Lock()
		b.ReportMetric(float64(least(5, runtime.GC).Microseconds())/1000, "ms/GC-cycle")
		pings := m.pings.Load()
		beating := cpuOf(func() { time.Sleep(wire.Heartbeat) }).Seconds() / wire.Heartbeat.Seconds()
		b.ReportMetric(beating, "cores/heartbeats")
		if n := m.pings.Load() - pings; n < all*9/10 || n > all*11/10 {
			b.Errorf("%d pings in a heartbeat", n)
		}
		b.ReportMetric(float64(least(5, m.broadcast).Nanoseconds())/all, "ns/delivery")
		m.rows.Unlock()

		b.ReportMetric(m.sweep(beating)/sweepEvery.Seconds(), "cores/sweeps")
		b.ReportMetric(float64(cpuOf(func() { m.delete(deleted) }).Microseconds())/deleted, "us/deletion")
		if n := m.g.hub.Len(); n != all-deleted || m.goodbyes.Load() != deleted {
			b.Errorf("%d sessions are left, and %d machines were told", n, m.goodbyes.Load())
		}
		if err := m.g.hub.Check(); err != nil {
			b.Error(err)
		}
		if n := m.again.Load(); n > 0 {
			b.Logf("%d times a machine was told to come back, and did", n)
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

	// Fixed after construction.
	accounts []directory.Account

	plugs    []plug
	gone     chan socket.ID
	pings    atomic.Int64
	taken    [64]tally // frames but for pings, spread over those that take them
	goodbyes atomic.Int64
	again    atomic.Int64
	next     uint64 // position of the next message

	// rows is held while the directory does not answer.
	rows sync.RWMutex
	news chan directory.Event

	mu sync.Mutex
	// Guarded by mu.
	pinged []socket.ID // they answer soon
}

// plug is what an engine keeps of a connection, and a directory of its machine.
type plug struct {
	lastByte       atomic.Int64
	ended, deleted atomic.Bool
}

// tally is alone in its cache line.
type tally struct {
	atomic.Int64
	_ [56]byte
}

func newMultitude(b *testing.B, size int) *multitude {
	m := &multitude{
		b: b, plugs: make([]plug, size), gone: make(chan socket.ID, size), news: make(chan directory.Event),
	}
	for i := range (size + perAccount - 1) / perAccount {
		key := directory.Key(fmt.Sprint("key-", i))
		m.accounts = append(m.accounts, directory.Account{ID: fmt.Sprint("acc_", i), Digests: []directory.Digest{key.Digest()}})
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
		m.knock(i)
	}
	m.await(func() bool { return m.g.hub.Len() == n })
}

func (m *multitude) knock(i int) {
	id := socket.ID(1<<32 | uint64(i))
	m.plugs[i].lastByte.Store(time.Now().UnixNano())
	m.plugs[i].ended.Store(false)
	m.g.Opened(id, socket.Peer{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
	m.g.Frame(id, fmt.Appendf(nil, `{"type":"auth","v":1,"apiKey":"key-%d","machine":{"hwid":"%016d","hostname":"h","os":"linux"}}`, i/perAccount, i))
}

func (m *multitude) await(is func() bool) {
	for until := time.Now().Add(5 * time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			m.b.Fatalf("%d sessions are there after five minutes; %d times one was told to come back", m.g.hub.Len(), m.again.Load())
		}
	}
}

// broadcast hands a message to all.
func (m *multitude) broadcast() {
	want := m.allTaken() + int64(m.g.hub.Len())
	m.next++
	m.g.hub.Deliver(session.Target{}, toAll{m.next, socket.Prepare(wire.AppendData(nil, m.next, "", []byte(`{"to":"all"}`)))})
	m.await(func() bool { return m.allTaken() >= want })
}

func (m *multitude) allTaken() (n int64) {
	for i := range m.taken {
		n += m.taken[i].Load()
	}
	return n
}

type toAll struct {
	position uint64
	frame    socket.Prepared
}

func (m toAll) Position() uint64           { return m.position }
func (m toAll) Frame(bool) socket.Prepared { return m.frame }

// sweep is the CPU time, in seconds, of comparing all with the directory, without what heartbeats use
// meanwhile.
func (m *multitude) sweep(beating float64) float64 {
	var fewest float64
	for i := range 3 { // the gateway sweeps by itself, too
		begin := time.Now()
		used := cpuOf(func() { m.g.sweep(m.b.Context()) }).Seconds() - beating*time.Since(begin).Seconds()
		if i == 0 || used < fewest {
			fewest = used
		}
	}
	return fewest
}

// delete has the directory report the deletion of the first machines.
func (m *multitude) delete(n int) {
	left := m.g.hub.Len() - n
	for i := range n {
		m.plugs[i].deleted.Store(true)
		m.news <- directory.Event{Kind: directory.Gone, ID: machineOf(fmt.Sprintf("%016d", i)), Asked: true}
	}
	m.await(func() bool { return m.g.hub.Len() == left && m.g.revoker.pending() == 0 })
}

// The engine.

var ping = []byte(`"type":"ping"`)

func (m *multitude) Send(id socket.ID, p socket.Prepared) bool {
	if len(p) > 64 || !bytes.Contains(p, ping) {
		m.taken[id.Slot()%64].Add(1)
		return true
	}
	m.pings.Add(1)
	m.mu.Lock()
	m.pinged = append(m.pinged, id)
	m.mu.Unlock()
	return true
}

func (m *multitude) SendMany(id socket.ID, frames []socket.Prepared) int {
	for _, p := range frames {
		m.Send(id, p)
	}
	return len(frames)
}

func (m *multitude) End(id socket.ID, _ socket.Prepared, code uint16, _ string) {
	if !m.plugs[id.Slot()].ended.CompareAndSwap(false, true) {
		return
	}
	if code == uint16(wire.CloseMachineDeleted) {
		m.goodbyes.Add(1)
	} else {
		m.again.Add(1)
	}
	m.gone <- id // there is room for everybody
}

func (m *multitude) LastByte(id socket.ID) time.Time {
	return time.Unix(0, m.plugs[id.Slot()].lastByte.Load())
}

func (m *multitude) Close() {}

// answer is the loop of the engine: it calls the gateway for all connections.
func (m *multitude) answer(ctx context.Context) {
	pong := []byte(`{"type":"pong"}`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var spent []socket.ID
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-m.gone:
			m.g.Closed(id, socket.Closure{Local: true})
			if i := int(id.Slot()); !m.plugs[i].deleted.Load() {
				m.knock(i) // it was told to come back: the processors have other work, too
			}
		case now := <-tick.C:
			m.mu.Lock()
			pinged := m.pinged
			m.pinged = spent[:0]
			m.mu.Unlock()
			for _, id := range pinged {
				m.plugs[id.Slot()].lastByte.Store(now.UnixNano())
				m.g.Frame(id, pong)
			}
			spent = pinged
		}
	}
}

// The directory: it knows the rows by the numbers in their names.

// perAccount is how many machines an account has.
const perAccount = 1000

func machineOf(hwid string) string { return "mch_abcdefgh_" + hwid }

func numberIn(id, prefix string) int {
	number, _ := strconv.Atoi(strings.TrimPrefix(id, prefix))
	return number
}

type multitudeAccounts struct{ *multitude }

func (m multitudeAccounts) Lookup(_ context.Context, keys []directory.Key) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(keys))
	for i, k := range keys {
		answers[i] = directory.AccountAnswer{Verdict: directory.Found, Account: m.accounts[numberIn(string(k), "key-")]}
	}
	return answers
}

func (m multitudeAccounts) Check(_ context.Context, ids []string) []directory.AccountAnswer {
	m.rows.RLock()
	defer m.rows.RUnlock()
	answers := make([]directory.AccountAnswer, len(ids))
	for i, id := range ids {
		answers[i] = directory.AccountAnswer{Verdict: directory.Found, Account: m.accounts[numberIn(id, "acc_")]}
	}
	return answers
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
	m.rows.RLock()
	defer m.rows.RUnlock()
	answers := make([]directory.MachineAnswer, len(ids))
	for i, id := range ids {
		number := numberIn(id, "mch_abcdefgh_")
		answers[i] = directory.MachineAnswer{Verdict: directory.Found, Machine: directory.Machine{ID: id, AccountID: m.accounts[number/perAccount].ID}}
		if m.plugs[number].deleted.Load() {
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
