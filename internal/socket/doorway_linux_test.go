package socket_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// throng is a crowd at a port whose reception is held up, so that it finds everybody there at once.
type throng struct {
	port    net.Listener
	guests  *guests
	held    chan struct{}
	release chan struct{}
	came    chan string

	mu    sync.Mutex
	heard map[socket.ID]string
}

func newThrong(t *testing.T, cfg socket.Config) *throng {
	h := &throng{guests: &guests{room: 1000}, held: make(chan struct{}), release: make(chan struct{}), came: make(chan string, 1000), heard: map[socket.ID]string{}}
	rules := everybody
	rules.Enter = h.guests.enter
	rules.Admit = func(r *http.Request) (socket.Peer, bool) {
		if r.RequestURI == "/hold" {
			close(h.held)
			<-h.release
		}
		return testPeer, r.RequestURI != "/nothing"
	}
	var recorder *recorder
	h.port, recorder, _ = newReception(t, cfg, rules)
	recorder.onClosed = func(socket.ID, socket.Closure) {}
	recorder.onFrame = h.hear
	recorder.set.Store(true)
	return h
}

// hear notes what a peer says, and tells when it has said its last.
func (h *throng) hear(id socket.ID, payload []byte) {
	h.mu.Lock()
	h.heard[id] += string(payload)
	all := h.heard[id]
	h.mu.Unlock()
	if strings.HasSuffix(all, ".") {
		h.came <- all
	}
}

func knock(t *testing.T, nc net.Conn, path string, early []byte) {
	t.Helper()
	if _, err := nc.Write(append([]byte(strings.Replace(handshake, "/", path, 1)), early...)); err != nil {
		t.Fatal(err)
	}
}

// answered wants the status that a handshake was answered with.
func answered(t *testing.T, nc net.Conn, want int) *rawPeer {
	t.Helper()
	p := newRawPeer(nc)
	answer, err := http.ReadResponse(p.buffered, nil)
	if err != nil || answer.StatusCode != want {
		t.Fatalf("answered %v, %v, want %d", answer, err, want)
	}
	return p
}

// judge has a crowd come in all ways at once, and wants each to be answered and heard whole.
func (h *throng) judge(t *testing.T, spoil func()) {
	const each = 90
	var quiet []net.Conn
	for range each {
		quiet = append(quiet, dialPort(t, h.port))
	}
	h.guests.await(t, each)
	holder := dialPort(t, h.port)
	knock(t, holder, "/hold", nil)
	<-h.held
	spoil()
	var plain, eager, strange, gone []net.Conn
	for i := range each {
		plain, eager = append(plain, dialPort(t, h.port)), append(eager, dialPort(t, h.port))
		strange, gone = append(strange, dialPort(t, h.port)), append(gone, dialPort(t, h.port))
		knock(t, plain[i], "/", nil)
		knock(t, eager[i], "/ws", stream(masked(0x81, fmt.Sprintf("eager %d ", i)), masked(0x81, big(1000)), masked(0x81, ".")))
		knock(t, strange[i], "/nothing", nil)
		knock(t, quiet[i], "/", nil)
		_ = gone[i].(*net.TCPConn).SetLinger(0)
		_ = gone[i].Close()
	}
	close(h.release)
	want := map[string]bool{}
	for i := range each {
		answered(t, strange[i], http.StatusNotFound)
		answered(t, eager[i], http.StatusSwitchingProtocols)
		want[fmt.Sprintf("eager %d %s.", i, big(1000))] = true
		for kind, nc := range map[string]net.Conn{"plain": plain[i], "quiet": quiet[i]} {
			said := fmt.Sprint(kind, i, ".")
			want[said] = true
			if err := answered(t, nc, http.StatusSwitchingProtocols).text(said); err != nil {
				t.Fatal(err)
			}
		}
	}
	answered(t, holder, http.StatusSwitchingProtocols)
	h.await(t, want)
}

func (h *throng) await(t *testing.T, want map[string]bool) {
	late := time.After(patience)
	for len(want) > 0 {
		select {
		case said := <-h.came:
			if !want[said] {
				t.Fatalf("heard %.50q, which nobody said or which was heard before", said)
			}
			delete(want, said)
		case <-late:
			t.Fatalf("%d were not heard", len(want))
		}
	}
	h.guests.await(t, 0)
}

func TestACrowdAtThePortIsLetInWholeAndHeardInOrder(t *testing.T) {
	for _, cfg := range []socket.Config{{}, {OneByOne: true}} {
		t.Run(fmt.Sprintf("one by one: %v", cfg.OneByOne), func(t *testing.T) {
			newThrong(t, cfg).judge(t, func() {})
		})
	}
}

func TestARingThatFailsAtThePortIsGivenUpAndNobodyIsLost(t *testing.T) {
	log := &lines{}
	h := newThrong(t, socket.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	var made int
	h.judge(t, func() { made = spoilRings(t) })
	if told := log.count("let in one by one"); told != min(1, made) {
		t.Errorf("%d rings that fail made %d lines of the port's", made, told)
	}
}

func TestAPortThatIsClosedLeavesNoRing(t *testing.T) {
	w := newRoad(t, "direct")
	if n, most := len(rings()), 2*runtime.GOMAXPROCS(0)+1; n > most {
		t.Errorf("%d rings, want at most %d", n, most)
	}
	w.server.Close()
	if n, most := len(rings()), 2*runtime.GOMAXPROCS(0); n > most {
		t.Errorf("%d rings are left, want at most the %d of the engine", n, most)
	}
}
