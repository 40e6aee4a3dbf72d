package session

import (
	"fmt"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

// devNull is an engine whose sockets take everything: what is left is the hub's own cost.
type devNull struct{ socket.Engine }

func (devNull) Send(socket.ID, socket.Prepared) bool { return true }

func newFleet(b *testing.B, n int) *world {
	w := newWorld(b, Config{})
	b.Cleanup(w.close)
	for i := range n {
		w.connect(Identity{Machine: fmt.Sprint("machine-", i), Account: fmt.Sprint("account-", i%100)}, 0)
	}
	w.hub.engine = devNull{w.engine}
	return w
}

// BenchmarkFanOut hands one message to 10,000 sessions: the hub's cost, without sockets.
func BenchmarkFanOut(b *testing.B) {
	w := newFleet(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		w.next++
		w.hub.Deliver(Target{}, newMessage(w.next, Target{}))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/delivery")
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
		p := preparePings(w.hub.finished.Load())
		for _, s := range all {
			s.pingAt = 0
			s.beat(1, p)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/session")
}
