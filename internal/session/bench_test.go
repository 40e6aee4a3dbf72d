package session

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// devNull is an engine whose sockets take everything: what is left is the hub's own cost.
type devNull struct{ socket.Engine }

func (devNull) Send(socket.ID, socket.Prepared) bool           { return true }
func (devNull) SendMany(_ socket.ID, p []socket.Prepared) int  { return len(p) }
func (devNull) LastByte(socket.ID) time.Time                   { return time.Now() }
func (devNull) End(socket.ID, socket.Prepared, uint16, string) {}

func newFleet(b *testing.B, n int) *world {
	w := newWorld(b, Config{})
	b.Cleanup(w.close)
	for i := range n {
		w.connect(Identity{Machine: fmt.Sprint("machine-", i), Account: fmt.Sprint("account-", i%100)}, 0)
	}
	w.hub.engine = devNull{w.engine}
	return w
}

// BenchmarkFanOut hands messages to 10,000 sessions, as many at a time as are outstanding: the hub's
// cost, without sockets.
func BenchmarkFanOut(b *testing.B) {
	for _, outstanding := range []int{1, 4, 64} {
		b.Run(fmt.Sprint(outstanding, " outstanding"), func(b *testing.B) {
			w := newFleet(b, 10_000)
			b.ReportAllocs()
			for b.Loop() {
				for range outstanding {
					w.next++
					w.hub.Deliver(Target{}, newMessage(w.next, Target{}))
				}
				w.settle()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*outstanding)/10_000, "ns/delivery")
		})
	}
}

// BenchmarkUnicast hands one message to one of 10,000 sessions.
func BenchmarkUnicast(b *testing.B) {
	w := newFleet(b, 10_000)
	to := Target{Machine: "machine-77"}
	for b.Loop() {
		w.next++
		w.hub.Deliver(to, newMessage(w.next, to))
	}
}

// BenchmarkHeartbeatWalk looks at every one of 10,000 sessions once and pings it.
func BenchmarkHeartbeatWalk(b *testing.B) {
	w := newFleet(b, 10_000)
	all := w.hub.All()
	b.ReportAllocs()
	for b.Loop() {
		p, v := preparePings(w.hub.finished.Load()), newSalvo(w.hub, nil)
		for _, s := range all {
			s.rec.pingAt = 0
			s.beat(1, p, v)
		}
		v.fire()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/session")
}

// BenchmarkIdleSession is what a session keeps of the heap, without its socket: the slope between
// 10,000 and 100,000, each of its own machine, a hundred to an account or one.
func BenchmarkIdleSession(b *testing.B) {
	const few, many = 10_000, 100_000
	for _, perAccount := range []int{100, 1} {
		b.Run(fmt.Sprint(perAccount, " to an account"), func(b *testing.B) {
			var slope float64
			for b.Loop() {
				hub, err := New(Config{Engine: devNull{}, Log: &shelf{}}, 0)
				if err != nil {
					b.Fatal(err)
				}
				connectMany(b, hub, 0, few, perAccount)
				atFew := heapInUse()
				connectMany(b, hub, few, many, perAccount)
				slope = float64(heapInUse()-atFew) / (many - few)
				runtime.KeepAlive(hub)
				hub.Close()
			}
			b.ReportMetric(slope, "B/session")
		})
	}
}

// connectMany numbers machines, of which some make an account.
func connectMany(b testing.TB, hub *Hub, from, to, perAccount int) {
	for i := from; i < to; i++ {
		account := i / perAccount
		who := Identity{Machine: fmt.Sprintf("m_%026d", i), Account: fmt.Sprintf("acc_%020d", account), Key: [32]byte{byte(account)}}
		s, err := hub.Enter(socket.ID(1<<32|uint64(i)), who, 8)
		if err != nil {
			b.Fatal(err)
		}
		s.Start(hello, 0, time.Time{})
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
