package socket_test

import (
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// The benchmarks of this file have both engines side by side. Their peers are bare descriptors, which
// cost the kernel's share and nothing else, and are served by the benchmark's own goroutine.

func bothEngines(b *testing.B, bench func(b *testing.B, kind string)) {
	b.Run("epoll", func(b *testing.B) { bench(b, "native") })
	b.Run("portable", func(b *testing.B) { bench(b, "tcp") })
}

// crowd is an engine with many connections in one process: two descriptors each.
type crowd struct {
	engine  door
	server  *httptest.Server
	handler *countingHandler
	opened  chan socket.ID
	ids     []socket.ID
	peers   []int
	shots   []socket.Shot
	sending time.Duration
}

func gatherCrowd(b *testing.B, kind string, n int) *crowd {
	opened := make(chan socket.ID, 1)
	c := &crowd{opened: opened, handler: &countingHandler{onOpened: func(id socket.ID) { opened <- id }}}
	c.engine = newDoor(b, kind, socket.Config{Handler: c.handler})
	c.server = server(b, c.engine, (*httptest.Server).Start)
	c.grow(b, n)
	return c
}

func (c *crowd) grow(b *testing.B, n int) {
	if limit := socket.DescriptorLimit(); limit < uint64(2*(len(c.peers)+n)+500) {
		b.Skipf("%d connections need more descriptors than %d", len(c.peers)+n, limit)
	}
	for range n {
		c.peers = append(c.peers, dialBare(b, c.server))
		c.ids = append(c.ids, receive(b, c.opened))
	}
}

func (c *crowd) leave() {
	for _, fd := range c.peers {
		_ = unix.Close(fd)
	}
	c.engine.Close()
	c.server.Close()
}

// readAll takes size bytes from every peer.
func (c *crowd) readAll(b *testing.B, size int) {
	buf := make([]byte, size)
	for _, fd := range c.peers {
		for got := 0; got < size; {
			n, err := unix.Read(fd, buf[got:])
			if n <= 0 {
				b.Fatal("reading from the engine:", n, err)
			}
			got += n
		}
	}
}

// cpu is what this process has used, for itself and in the kernel.
func cpu() time.Duration {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	return time.Duration(unix.TimevalToNsec(used.Utime) + unix.TimevalToNsec(used.Stime))
}

// reportCPU says what one of n parts of every round cost, at both ends together.
func reportCPU(b *testing.B, since time.Duration, n int, unit string) {
	b.ReportMetric(float64((cpu()-since).Microseconds())/float64(b.N)/float64(n), "us-CPU/"+unit)
}

// everyWay is one frame for all of a crowd: call by call with both engines, and by SendAll.
func everyWay(b *testing.B, bench func(b *testing.B, kind string, send func(*crowd, socket.Prepared))) {
	bothEngines(b, func(b *testing.B, kind string) { bench(b, kind, timed((*crowd).sendEach)) })
	b.Run("epoll at once", func(b *testing.B) { bench(b, "native", timed((*crowd).sendAll)) })
}

// timed adds up what the sending costs without the peers.
func timed(send func(*crowd, socket.Prepared)) func(*crowd, socket.Prepared) {
	return func(c *crowd, p socket.Prepared) {
		began := cpu()
		send(c, p)
		c.sending += cpu() - began
	}
}

func (c *crowd) reportSending(b *testing.B) {
	b.ReportMetric(float64(c.sending.Microseconds())/float64(b.N)/float64(len(c.ids)), "us-CPU/send")
}

func (c *crowd) sendEach(p socket.Prepared) {
	for _, id := range c.ids {
		c.engine.Send(id, p)
	}
}

func (c *crowd) sendAll(p socket.Prepared) {
	c.shots = c.shots[:0]
	all := socket.NewBurst(p)
	for _, id := range c.ids {
		c.shots = append(c.shots, socket.Shot{ID: id, Burst: all})
	}
	socket.SendAll(c.engine, c.shots)
}

// BenchmarkHeartbeat is a ping to each of 1,000 machines and their answers.
func BenchmarkHeartbeat(b *testing.B) {
	everyWay(b, func(b *testing.B, kind string, send func(*crowd, socket.Prepared)) {
		const n = 1000
		c := gatherCrowd(b, kind, n)
		defer c.leave()
		ping := prepare(`{"type":"ping","seq":123456}`)
		pong := frame.AppendMasked(nil, frame.OpText, testKey, []byte(`{"type":"pong"}`))
		began := cpu()
		for b.Loop() {
			want := c.handler.frames.Load() + n
			send(c, ping)
			c.readAll(b, len(ping))
			for _, fd := range c.peers {
				if _, err := unix.Write(fd, pong); err != nil {
					b.Fatal(err)
				}
			}
			for c.handler.frames.Load() < want {
				runtime.Gosched()
			}
		}
		reportCPU(b, began, n, "heartbeat")
		c.reportSending(b)
	})
}

// BenchmarkFanOutTo5000 hands one prepared frame of 128 bytes to 5,000 sockets, until all peers have it.
func BenchmarkFanOutTo5000(b *testing.B) {
	everyWay(b, func(b *testing.B, kind string, send func(*crowd, socket.Prepared)) {
		const n = 5000
		c := gatherCrowd(b, kind, n)
		defer c.leave()
		message := prepare(strings.Repeat("x", 128))
		began := cpu()
		for b.Loop() {
			send(c, message)
			c.readAll(b, len(message))
		}
		reportCPU(b, began, n, "delivery")
		c.reportSending(b)
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "deliveries/s")
	})
}

// BenchmarkCatchUpOf5000 hands 64 frames of 128 bytes at once to each of 5,000 sockets that lag.
func BenchmarkCatchUpOf5000(b *testing.B) {
	bothEngines(b, func(b *testing.B, kind string) {
		const n, each = 5000, 64
		c := gatherCrowd(b, kind, n)
		defer c.leave()
		batch := make([]socket.Prepared, each)
		for i := range batch {
			batch[i] = prepare(strings.Repeat("x", 128))
		}
		began := cpu()
		for b.Loop() {
			for _, id := range c.ids {
				if taken := c.engine.SendMany(id, batch); taken != each {
					b.Fatalf("%d of %d frames were taken", taken, each)
				}
			}
			c.readAll(b, each*len(batch[0]))
		}
		reportCPU(b, began, n*each, "delivery")
		b.ReportMetric(float64(b.N)*n*each/b.Elapsed().Seconds(), "deliveries/s")
	})
}

// BenchmarkConnect is a connection with its handshake, from the first packet until Opened: read by the
// epoll engine itself, and by net/http for both engines.
func BenchmarkConnect(b *testing.B) {
	b.Run("direct", func(b *testing.B) { connect(b, "direct") })
	bothEngines(b, connect)
}

func connect(b *testing.B, kind string) {
	c := gatherCrowd(b, kind, 0)
	defer c.leave()
	began := cpu()
	b.ReportAllocs()
	for b.Loop() {
		fd := dialBare(b, c.server)
		receive(b, c.opened)
		_ = unix.Close(fd)
	}
	reportCPU(b, began, 1, "connection")
}

// BenchmarkIdleConnection is what one idle connection keeps of the heap and of stacks: the slope
// between 1,000 and 5,000. The kernel's share does not count, nor does what a handler keeps.
func BenchmarkIdleConnection(b *testing.B) {
	bothEngines(b, func(b *testing.B, kind string) {
		const few, many = 1000, 5000
		var slope float64
		for b.Loop() {
			c := gatherCrowd(b, kind, few)
			c.ids, c.peers = slices.Grow(c.ids, many), slices.Grow(c.peers, many)
			atFew := footprint()
			c.grow(b, many-few)
			slope = float64(int64(footprint())-int64(atFew)) / (many - few)
			c.leave()
		}
		b.ReportMetric(slope, "B/connection")
	})
}

// dialBare shakes hands on a descriptor that Go's runtime does not know.
func dialBare(b *testing.B, s *httptest.Server) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	to := unix.SockaddrInet4{Port: s.Listener.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, &to); err != nil {
		b.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte(handshake)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 1024)
	if n, err := unix.Read(fd, answer); err != nil || string(answer[:min(n, 12)]) != "HTTP/1.1 101" {
		b.Fatalf("handshake answered %.40q, error %v", answer[:max(0, n)], err)
	}
	return fd
}

// footprint is the heap and the stacks in use, once what is on its way out has gone.
func footprint() uint64 {
	var m runtime.MemStats
	least := ^uint64(0)
	for range 20 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc+m.StackInuse)
		runtime.Gosched()
	}
	return least
}
