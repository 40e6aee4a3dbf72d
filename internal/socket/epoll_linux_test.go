package socket_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

func TestThousandsOfIdleConnectionsAddNoGoroutine(t *testing.T) {
	const n = 2000
	b := newRig(t, "native", socket.Config{})
	_, first := b.open(t)
	before := runtime.NumGoroutine()
	for range n {
		b.open(t)
	}
	_ = first.text("alive")
	b.recorder.expect(t, `text "alive"`)
	// Those of net/http are on their way out when the last peer has been told.
	for began := time.Now(); runtime.NumGoroutine() > before+10; {
		if time.Since(began) > patience {
			t.Fatalf("%d idle connections make %d goroutines of %d", n, runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

func TestPeersThatDoNotAnswerAreLetGoAfterTheLingerTimeout(t *testing.T) {
	b := newRig(t, "native", socket.Config{})
	silent, quiet := b.open(t)
	stopped, _ := b.open(t)
	fill(b, stopped)
	_, broke := b.open(t)
	began := time.Now()
	b.engine.End(silent, prepare("goodbye"), 4500, "gone")
	b.engine.End(stopped, prepare("never read"), 4001, "silent")
	if err := broke.(*rawPeer).writeRaw([]byte{0xFF}); err != nil {
		t.Fatal(err)
	}
	var heard []string
	for range 3 {
		heard = append(heard, b.recorder.next(t))
		if took := time.Since(began); took < socket.LingerTimeout {
			t.Errorf("%s: after %v, want %v", heard[len(heard)-1], took, socket.LingerTimeout)
		}
	}
	slices.Sort(heard)
	want := []string{"closed by us: 1002 reserved bit set", "closed by us: 4001 silent", "closed by us: 4500 gone"}
	if !slices.Equal(heard, want) {
		t.Errorf("handler heard %q, want %q", heard, want)
	}
	for _, want := range []string{"goodbye", "close 4500 gone"} {
		if got := quiet.read(t); got != want {
			t.Errorf("peer read %q, want %q", got, want)
		}
	}
}

func TestAGoodbyeIsNotLostByUnreadInput(t *testing.T) {
	b := newRig(t, "native", socket.Config{})
	for range 50 {
		id, far := b.open(t)
		peer := far.(*rawPeer)
		stopTalking := make(chan struct{})
		var talking sync.WaitGroup
		talking.Go(func() {
			for {
				select {
				case <-stopTalking:
					return
				default:
					if peer.text(big(500)) != nil {
						return
					}
				}
			}
		})
		b.engine.End(id, prepare("goodbye"), 4500, "gone")
		for _, want := range []string{"goodbye", "close 4500 gone"} {
			if got := peer.read(t); got != want {
				t.Errorf("peer read %q, want %q", got, want)
			}
		}
		close(stopTalking)
		talking.Wait()
		peer.sayClose(4500, "")
		for heard := ""; !strings.HasPrefix(heard, "closed"); {
			if heard = b.recorder.next(t); heard != "closed by us: 4500 gone" && !strings.HasPrefix(heard, "text") {
				t.Errorf("handler heard %q", heard)
			}
		}
		peer.drop()
	}
}

// fill sends to a peer that does not read until its window is full, too: whenever there is room again.
// The frames are large: when small segments fill a window, kernels drop what comes, acknowledgements of
// the other direction with it, and both wait for seconds.
func fill(b *rig, id socket.ID) {
	filler := prepare(strings.Repeat("x", 32<<10))
	b.recorder.onDrained = func(id socket.ID) {
		for b.engine.Send(id, filler) {
		}
	}
	b.recorder.onDrained(id)
}

func TestAStoppedPeerIsOwedTheLatestPongAlone(t *testing.T) {
	const pings = 10_000
	b := newRig(t, "native", socket.Config{})
	id, far := b.open(t)
	peer := far.(*rawPeer)
	fill(b, id)
	for i := range pings {
		if err := peer.write(frame.OpPing, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	_ = peer.text("the pings are read")
	b.recorder.expect(t, `text "the pings are read"`)
	b.engine.End(id, nil, 4000, "enough")
	pongs, last := 0, ""
	for answer := ""; !strings.HasPrefix(answer, "close") && !strings.HasPrefix(answer, "end"); answer = peer.read(t) {
		if isPong(answer) {
			pongs, last = pongs+1, answer
		}
	}
	if want := fmt.Sprint("pong ", pings-1); last != want || pongs > pings/10 {
		t.Errorf("%d pongs to %d pings, the last is %q, want %q", pongs, pings, last, want)
	}
}

// TestQueuedBytesAreBoundedOverAllConnections stops peers with one large frame each, until the budget
// is used up. Small frames go on, and large ones when somebody has taken his.
func TestQueuedBytesAreBoundedOverAllConnections(t *testing.T) {
	large := prepare(strings.Repeat("x", 1<<20))
	b := newRig(t, "native", socket.Config{MaxQueued: 2 << 20})
	var stopped []farEnd
	for taken := true; taken; {
		var id socket.ID
		var far farEnd
		id, far = b.open(t)
		if taken = b.engine.Send(id, large); taken {
			stopped = append(stopped, far)
			continue
		}
		if len(stopped) > 4 {
			t.Errorf("%d frames of 1 MiB were taken with a budget of 2 MiB", len(stopped))
		}
		if !b.engine.Send(id, prepare("small")) {
			t.Error("a small frame was refused for want of budget")
		}
		if got := far.read(t); got != "small" {
			t.Errorf("peer read %q", got)
		}
	}
	for _, far := range stopped {
		if got := far.read(t); len(got) != 1<<20 {
			t.Errorf("peer read %d bytes", len(got))
		}
	}
	b.recorder.expect(t, "drained")
}

func TestALaggingPeerIsBroughtToTheHeadByWritesOfManyFrames(t *testing.T) {
	b := newRig(t, "native", socket.Config{})
	id, far := b.open(t)
	many := slices.Repeat([]socket.Prepared{prepare(big(126))}, 200)
	if n := b.engine.SendMany(id, many); n != len(many) {
		t.Fatalf("%d of %d frames were taken by an empty socket", n, len(many))
	}
	for range many {
		if got := far.read(t); got != big(126) {
			t.Fatalf("peer read %q", got)
		}
	}
}

// lines is a log that is read by a test.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), what)
}

// starve leaves the process no descriptor, until feed.
func starve(t *testing.T) (feed func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowest, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(lowest)
	none := limit
	none.Cur = uint64(lowest)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	var holes []int // that others have left below
	for fd, err := unix.Dup(0); err == nil; fd, err = unix.Dup(0) {
		holes = append(holes, fd)
	}
	var once sync.Once
	feed = func() {
		once.Do(func() {
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
			for _, fd := range holes {
				_ = unix.Close(fd)
			}
		})
	}
	t.Cleanup(feed)
	return feed
}

func TestWantOfDescriptorsIsToldOnceASecondAndSurvived(t *testing.T) {
	for _, kind := range []string{"direct", "native"} {
		t.Run(kind, func(t *testing.T) {
			log := &lines{}
			l, err := socket.Listen(t.Context(), "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if kind == "direct" {
				if l, err = native(t, socket.Config{Handler: newRecorder()}).(socket.Receiver).Receive(l, everybody); err != nil {
					t.Fatal(err)
				}
			}
			survivesWant(t, l, log)
		})
	}
}

func survivesWant(t *testing.T, l net.Listener, log *lines) {
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	feed := starve(t)
	began := time.Now()
	for range 100 {
		_, err := l.Accept()
		if passes, ok := err.(interface{ Temporary() bool }); !ok || !passes.Temporary() {
			t.Fatalf("accepting without a descriptor: %v, want an error that passes", err)
		}
	}
	told, most := log.count("ulimit"), 1+int(time.Since(began)/time.Second)
	if told < 1 || told > most {
		t.Errorf("100 refusals made %d lines", told)
	}
	feed()
	in, err := l.Accept()
	if err != nil {
		t.Fatal("accepting again:", err)
	}
	in.Close()
}

func TestAConnectionThatFindsNoSecondDescriptorIsClosedAndToldOf(t *testing.T) {
	log := &lines{}
	r := newRecorder()
	e := native(t, socket.Config{Handler: r, Logger: slog.New(slog.NewTextHandler(log, nil))})
	var starving atomic.Bool
	var feeding sync.Mutex // nobody else opens anything meanwhile
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if starving.Load() {
			feeding.Lock()
			defer feeding.Unlock()
			defer starve(t)()
		}
		_ = e.Upgrade(w, q, testPeer)
	}))
	defer s.Close()
	starving.Store(true)
	for began := time.Now(); log.count("ulimit") == 0; {
		if time.Since(began) > patience {
			t.Fatal("nobody was told")
		}
		feeding.Lock()
		nc := dialTCP(t, s)
		feeding.Unlock()
		_, _ = nc.Write([]byte(handshake))
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := nc.Read(make([]byte, 100)); os.IsTimeout(err) {
			t.Error("the connection was left open")
		}
		nc.Close()
	}
	starving.Store(false)
	feeding.Lock()
	defer feeding.Unlock()
	p := shakeHands(t, dialTCP(t, s), nil)
	if err := p.text("let in"); err != nil {
		t.Fatal(err)
	}
	for r.next(t) != `text "let in"` {
	}
}

// TestChurnUnicastBroadcastAndStoppedPeersAtOnce is for the race detector.
func TestChurnUnicastBroadcastAndStoppedPeersAtOnce(t *testing.T) {
	const crowd, rounds = 24, 8
	b := newRig(t, "native", socket.Config{MaxQueued: 1 << 20})
	var open sync.Map
	var dialling sync.Mutex // so that whoever dials knows the ID
	var opened, closed atomic.Int64
	b.recorder.onFrame = func(id socket.ID, payload []byte) { b.engine.Send(id, socket.Prepare(payload)) }
	b.recorder.onDrained = func(id socket.ID) { b.engine.SendMany(id, []socket.Prepared{prepare("a"), numbered(499)}) }
	b.recorder.onClosed = func(id socket.ID, _ socket.Closure) { open.Delete(id); closed.Add(1) }
	done := make(chan struct{})
	var senders, peers sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				open.Range(func(id, _ any) bool {
					b.engine.Send(id.(socket.ID), numbered(i%600))
					return true
				})
				runtime.Gosched()
			}
		})
	}
	for who := range crowd {
		peers.Go(func() {
			for round := range rounds {
				dialling.Lock()
				far := b.dial().(*rawPeer)
				id := receive(t, b.recorder.ids)
				dialling.Unlock()
				open.Store(id, true)
				opened.Add(1)
				switch (who + round) % 4 {
				case 0: // stopped, and cut
					b.engine.Send(id, numbered(499))
					_ = far.text("no reader")
				case 1: // told to go
					b.engine.End(id, prepare("goodbye"), 4000, "round")
					readToTheEnd(t, far)
					far.sayClose(4000, "")
				case 2: // goes by itself
					_ = far.text("echo")
					far.sayClose(1000, "")
					readToTheEnd(t, far)
				default: // talks
					for range 20 {
						_ = far.text("echo")
						far.read(t)
					}
				}
				far.drop()
			}
		})
	}
	peers.Wait()
	close(done)
	senders.Wait()
	b.engine.Close()
	if opened.Load() != crowd*rounds || closed.Load() != opened.Load() {
		t.Errorf("%d opened, %d closed", opened.Load(), closed.Load())
	}
}

func readToTheEnd(t *testing.T, far farEnd) {
	for {
		if got := far.read(t); strings.HasPrefix(got, "close") || strings.HasPrefix(got, "end") {
			return
		}
	}
}

func TestLastByteMovesWithWhatComesAndWithWhatALaggingPeerTakes(t *testing.T) {
	b := newRig(t, "native", socket.Config{})
	id, far := b.open(t)
	peer := far.(*rawPeer)
	opened := b.engine.LastByte(id)
	b.engine.Send(id, prepare("proves nothing"))
	if got := far.read(t); got != "proves nothing" {
		t.Fatalf("peer read %q", got)
	}
	if got := b.engine.LastByte(id); !got.Equal(opened) {
		t.Errorf("a write that nobody waited for moved the last byte by %v", got.Sub(opened))
	}
	if err := peer.writeRaw(masked(0x81, "hi")[:1]); err != nil { // one byte, which completes nothing
		t.Fatal(err)
	}
	heard := awaitLastByte(t, b, id, opened)
	for b.engine.Send(id, numbered(499)) {
	}
	stopped := b.engine.LastByte(id)
	if stopped.Before(heard) {
		t.Errorf("the last byte went back by %v", heard.Sub(stopped))
	}
	for len(far.read(t)) < 100<<10 {
	}
	awaitLastByte(t, b, id, stopped)
}

// awaitLastByte waits until the last byte is later than it was.
func awaitLastByte(t *testing.T, b *rig, id socket.ID, was time.Time) time.Time {
	t.Helper()
	for began := time.Now(); ; runtime.Gosched() {
		if now := b.engine.LastByte(id); now.After(was) {
			return now
		}
		if time.Since(began) > patience {
			t.Fatal("the last byte does not move")
		}
	}
}
