package socket_test

import (
	"bytes"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

// countingHandler hears without remembering.
type countingHandler struct {
	opened, closed, frames, drained atomic.Int64
	onOpened                        func(socket.ID)
}

func (h *countingHandler) Opened(id socket.ID, _ socket.Peer) {
	h.opened.Add(1)
	if h.onOpened != nil {
		h.onOpened(id)
	}
}
func (h *countingHandler) Frame(socket.ID, []byte)          { h.frames.Add(1) }
func (h *countingHandler) Binary(socket.ID)                 {}
func (h *countingHandler) Drained(socket.ID)                { h.drained.Add(1) }
func (h *countingHandler) Closed(socket.ID, socket.Closure) { h.closed.Add(1) }

// BenchmarkHandshakeAndFirstFrame is both ends on one machine: connecting, upgrading, one frame down.
func BenchmarkHandshakeAndFirstFrame(b *testing.B) {
	h := &countingHandler{}
	e := native(b, socket.Config{Handler: h})
	hello := prepare("hello")
	h.onOpened = func(id socket.ID) { e.Send(id, hello) }
	b.Run("tcp", func(b *testing.B) {
		s := server(b, e, (*httptest.Server).Start)
		greet(b, func() net.Conn { return dialTCP(b, s) })
	})
	b.Run("tls", func(b *testing.B) {
		s := server(b, e, (*httptest.Server).StartTLS)
		greet(b, func() net.Conn { return dialTLS(b, s) })
	})
}

func greet(b *testing.B, dial func() net.Conn) {
	b.ReportAllocs()
	for b.Loop() {
		p := shakeHands(b, dial(), nil)
		if got := p.read(b); got != "hello" {
			b.Fatal(got)
		}
		p.drop()
	}
}

// BenchmarkSendTo10000 hands one prepared frame to each of 10,000 memory connections.
func BenchmarkSendTo10000(b *testing.B) {
	const n = 10_000
	ids := make(chan socket.ID, n)
	e := socket.NewMemory(socket.Config{Handler: &countingHandler{onOpened: func(id socket.ID) { ids <- id }}})
	defer e.Close()
	peers, open := make([]*socket.MemoryPeer, n), make([]socket.ID, n)
	for i := range peers {
		peers[i] = e.Dial(testPeer)
		peers[i].SetRoom(socket.Room{Bytes: 1 << 30, Frames: 1 << 20})
	}
	for i := range open {
		open[i] = <-ids
	}
	frame := socket.Prepare(bytes.Repeat([]byte("x"), 128))
	b.ReportAllocs()
	for b.Loop() {
		for _, id := range open {
			if !e.Send(id, frame) {
				b.Fatal("refused")
			}
		}
		for _, p := range peers {
			p.Next()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/frame")
}

// BenchmarkSend is frames of 128 bytes over one connection of loopback TCP, read by the other end.
func BenchmarkSend(b *testing.B) {
	for _, kind := range doors {
		b.Run(kind, func(b *testing.B) {
			r := newRig(b, kind, socket.Config{})
			drained := make(chan struct{}, 1)
			r.recorder.onDrained = func(socket.ID) { drained <- struct{}{} }
			id, far := r.open(b)
			var reading sync.WaitGroup
			reading.Go(func() { _, _ = discard(far.(*rawPeer)) })
			frame := socket.Prepare(bytes.Repeat([]byte("x"), 128))
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				for !r.engine.Send(id, frame) {
					<-drained
				}
			}
			far.drop()
			reading.Wait()
		})
	}
}

func discard(p *rawPeer) (n int, err error) {
	buf := make([]byte, 64<<10)
	for {
		more, err := p.Conn.Read(buf)
		n += more
		if err != nil {
			return n, err
		}
	}
}

// BenchmarkLastByte is the heartbeat walk's question, asked of 10,000 connections.
func BenchmarkLastByte(b *testing.B) {
	const n = 10_000
	ids := make(chan socket.ID, n)
	e := socket.NewMemory(socket.Config{Handler: &countingHandler{onOpened: func(id socket.ID) { ids <- id }}})
	defer e.Close()
	open := make([]socket.ID, n)
	for range n {
		e.Dial(testPeer)
	}
	for i := range open {
		open[i] = <-ids
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, id := range open {
			if e.LastByte(id).IsZero() {
				b.Fatal("no last byte")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/connection")
}
