package socket

import (
	"log/slog"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/ring"
	"golang.org/x/sys/unix"
)

// TestWhoseAnswerIsLostIsEndedBecauseWhatItSaidMayBe lies inside the package because no kernel can be
// made to lose answers.
func TestWhoseAnswerIsLostIsEndedBecauseWhatItSaidMayBe(t *testing.T) {
	ended := make(chan ID, 10)
	e, err := NewEpoll(Config{Handler: endings(ended), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l := entered(t, e)
	lp := &loop{engine: e} // it is not running
	lp.swallow(l, nil, ring.NotCertain, time.Now())
	if id := <-ended; id != l.id {
		t.Errorf("%x ended, want %x", uint64(id), uint64(l.id))
	}
}

// entered is a connection of the engine that no loop watches yet.
func entered(t *testing.T, e *Epoll) line {
	t.Helper()
	l, _ := enteredWith(t, e)
	return l
}

// enteredWith returns the peer's descriptor, too.
func enteredWith(t *testing.T, e *Epoll) (l line, peer int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(pair[1]) })
	l, err = e.enter(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	return l, pair[1]
}

// endings is a handler that hears of ends alone.
type endings chan ID

func (endings) Opened(ID, Peer)             {}
func (endings) Frame(ID, []byte)            {}
func (endings) Binary(ID)                   {}
func (endings) Drained(ID)                  {}
func (e endings) Closed(id ID, how Closure) { e <- id }
