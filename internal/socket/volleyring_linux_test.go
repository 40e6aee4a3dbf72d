package socket_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fleetline/fleetline/internal/socket"
)

func TestCloseLeavesNoRing(t *testing.T) {
	for range 3 {
		b := newRig(t, "native", socket.Config{})
		if n, most := len(rings()), 2*runtime.GOMAXPROCS(0); n > most {
			t.Errorf("%d rings, want at most %d", n, most)
		}
		sendsToAll(t, b)
		b.engine.Close()
		if left := rings(); len(left) > 0 {
			t.Errorf("descriptors %v are left after Close", left)
		}
		socket.SendAll(b.engine, []socket.Shot{{ID: 1 << 32, Burst: burst("late")}})
	}
	b := newRig(t, "native", socket.Config{OneByOne: true})
	if made := rings(); len(made) > 0 {
		t.Errorf("descriptors %v are rings of an engine that is to do without", made)
	}
	sendsToAll(t, b)
}

// sendsToAll sends to a few connections at once, and wants that to work.
func sendsToAll(t *testing.T, b *rig) {
	t.Helper()
	shots := make([]socket.Shot, 5)
	peers := make([]farEnd, len(shots))
	for i := range shots {
		shots[i].Burst = burst("all")
		shots[i].ID, peers[i] = b.open(t)
	}
	socket.SendAll(b.engine, shots)
	for i, far := range peers {
		if got := far.read(t); shots[i].Taken != 1 || got != "all" {
			t.Errorf("%d taken, peer read %q", shots[i].Taken, got)
		}
	}
}

// TestWhatIsLeftOfSmallFramesFollows has frames begun that the kernel does not take whole, because the
// peer's window is smaller than they are.
func TestWhatIsLeftOfSmallFramesFollows(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRecorder()
			way.cfg.Handler = r
			e := native(t, way.cfg)
			s := server(t, e, (*httptest.Server).Start)
			for range 20 {
				peer := shakeHands(t, dialNarrow(t, s), nil)
				id := r.opened(t)
				var shots []socket.Shot
				for i := range 100 {
					parts := make([]string, 1+rand.IntN(3))
					for part := range parts {
						parts[part] = fmt.Sprintf("%d %d ", i, part) + big((3000+rand.IntN(1000))/len(parts))
					}
					shots = append(shots, socket.Shot{ID: id, Burst: burst(parts...)})
				}
				way.send(e, shots)
				for i, s := range shots {
					for _, f := range s.Burst.Frames[:s.Taken] {
						if peer.read(t) != string(f.Payload()) {
							t.Fatalf("peer did not read frame %d", i)
						}
					}
				}
				r.expect(t, "drained") // for it was refused some
				peer.drop()
				for r.next(t) == "drained" {
				}
			}
		})
	}
}

// dialNarrow dials with the smallest window there is.
func dialNarrow(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}}
	nc, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// spoilRings puts other files in the places of the rings, and returns how many.
func spoilRings(t *testing.T) int {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	made := rings()
	for _, fd := range made {
		if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	return len(made)
}

func TestARingThatFailsIsGivenUpAndFramesGoOn(t *testing.T) {
	log := &lines{}
	b := newRig(t, "native", socket.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	made := spoilRings(t)
	for range 3 {
		sendsToAll(t, b)
	}
	if told := log.count("io_uring has failed"); told != min(1, made) {
		t.Errorf("%d rings that fail made %d lines", made, told)
	}
}

const refusing = "FLEETLINE_TEST_REFUSING_IO_URING"

// TestWhereIOUringIsRefusedFramesAreWrittenOneByOne runs itself again, as a process whose kernel
// refuses io_uring the way a container's does.
func TestWhereIOUringIsRefusedFramesAreWrittenOneByOne(t *testing.T) {
	if os.Getenv(refusing) == "" {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		again.Env = append(os.Environ(), refusing+"=1")
		if told, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, told)
		}
		return
	}
	refuseRings(t)
	log := &lines{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := newRig(t, "native", socket.Config{Logger: logger})
	sendsToAll(t, b)
	if log.count("no io_uring") != 1 || len(rings()) > 0 {
		t.Errorf("io_uring was not refused: %v", rings())
	}
}

// refuseRings has the kernel answer EPERM to io_uring_setup, for ever.
func refuseRings(t *testing.T) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_IO_URING_SETUP},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Fatal(errno)
	}
}

// listener is a peer that checks what it reads, until the end: frames of many senders, whole, and in
// the order of each.
type listener struct {
	id    socket.ID
	far   farEnd
	taken [senders]atomic.Int64
	read  [senders]int
	wrong error
}

const (
	senders    = 6 // of those, the last sends call by call
	listeners  = 150
	roundsEach = 40
)

func (l *listener) listen(t *testing.T) {
	var last [senders]int
	for {
		got := l.far.read(t)
		if got == "goodbye" {
			return
		}
		var who, number, size int
		_, err := fmt.Sscanf(got, "%d %d %d ", &who, &number, &size)
		switch {
		case err != nil:
			l.wrong = fmt.Errorf("read %.40q: %w", got, err)
			return
		case number <= last[who] || len(got) < size || strings.TrimLeft(got[len(got)-size:], "x") != "":
			l.wrong = fmt.Errorf("read %.40q in %d bytes behind number %d", got, len(got), last[who])
			return
		}
		last[who] = number
		l.read[who]++
	}
}

// shootAround sends to all listeners in random order, some of them repeatedly.
func shootAround(e socket.Engine, who int, all []*listener) {
	send := socket.SendAll
	if who == senders-1 {
		send = sendEach
	}
	number := 0
	for range roundsEach {
		var shots []socket.Shot
		var to []*listener
		for _, i := range append(rand.Perm(len(all)), rand.Perm(len(all))[:20]...) {
			number++
			size := rand.IntN(200)
			if rand.IntN(500) == 0 {
				size = 20 << 10
			}
			shots = append(shots, socket.Shot{ID: all[i].id, Burst: burst(fmt.Sprintf("%d %d %d ", who, number, size) + big(size))})
			to = append(to, all[i])
		}
		send(e, shots)
		for i, s := range shots {
			to[i].taken[who].Add(int64(s.Taken))
		}
	}
}

// TestManySendersToTheSameConnectionsKeepFramesWholeAndInOrder is for the race detector, and for locks
// that would wait for each other.
func TestManySendersToTheSameConnectionsKeepFramesWholeAndInOrder(t *testing.T) {
	b := newRig(t, "native", socket.Config{})
	b.recorder.onDrained = func(socket.ID) {}
	b.recorder.onClosed = func(socket.ID, socket.Closure) {}
	all := make([]*listener, listeners)
	var listening, sending, churning sync.WaitGroup
	for i := range all {
		all[i] = &listener{}
		all[i].id, all[i].far = b.open(t)
		listening.Go(func() { all[i].listen(t) })
	}
	for who := range senders {
		sending.Go(func() { shootAround(b.engine, who, all) })
	}
	over := make(chan struct{})
	churning.Go(func() { churn(t, b, over) })
	sending.Wait()
	close(over)
	churning.Wait()
	for _, l := range all {
		b.engine.End(l.id, prepare("goodbye"), 4000, "")
	}
	listening.Wait()
	for i, l := range all {
		for who := range senders {
			if n := int(l.taken[who].Load()); l.wrong != nil || l.read[who] != n {
				t.Errorf("peer %d read %d of %d frames of sender %d: %v", i, l.read[who], n, who, l.wrong)
			}
		}
	}
}

// churn opens connections, sends to them among the others, and has them end in every way.
func churn(t *testing.T, b *rig, over <-chan struct{}) {
	for round := 0; ; round++ {
		select {
		case <-over:
			return
		default:
		}
		id, far := b.open(t)
		shots := []socket.Shot{{ID: id, Burst: burst("a")}, {ID: id, Burst: burst("b", "c")}}
		switch round % 3 {
		case 0:
			far.drop()
		case 1:
			b.engine.End(id, nil, 4000, "")
		}
		socket.SendAll(b.engine, shots)
		if round%3 == 2 {
			for _, want := range []string{"a", "b", "c"} {
				if got := far.read(t); got != want {
					t.Errorf("peer read %q, want %q", got, want)
				}
			}
		}
		far.drop()
	}
}

func TestCloseBesideManySendersEndsEverything(t *testing.T) {
	for range 5 {
		b := newRig(t, "native", socket.Config{})
		var closed atomic.Int64
		b.recorder.onDrained = func(socket.ID) {}
		b.recorder.onClosed = func(socket.ID, socket.Closure) { closed.Add(1) }
		all := make([]*listener, 30)
		for i := range all {
			all[i] = &listener{}
			all[i].id, all[i].far = b.open(t)
		}
		var sending sync.WaitGroup
		for who := range senders {
			sending.Go(func() { shootAround(b.engine, who, all) })
		}
		b.engine.Close()
		if n := int(closed.Load()); n != len(all) {
			t.Errorf("%d of %d connections were closed", n, len(all))
		}
		sending.Wait()
		if left := rings(); len(left) > 0 {
			t.Errorf("descriptors %v are left when the last sender is done", left)
		}
	}
}
