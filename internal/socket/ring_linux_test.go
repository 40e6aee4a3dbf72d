package socket

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAnswersThatDoNotComeAreNotWaitedForForEver has a ring look for its answers in the wrong place. It
// lies inside the package because no kernel can be made to lose answers.
func TestAnswersThatDoNotComeAreNotWaitedForForEver(t *testing.T) {
	r, err := newRing()
	if err != nil {
		t.Log("nothing to test:", err)
		return
	}
	defer r.close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	first, second := Prepare([]byte("first")), Prepare([]byte("second"))
	r.load(ringOpSend, pair[0], first, sendFlags)
	if err := r.fire(); err != nil || r.results[0] != int32(len(first)) || r.parts[0] != nil {
		t.Fatalf("a healthy ring: result %d, error %v, part kept: %v", r.results[0], err, r.parts[0] != nil)
	}
	r.cqTail = r.cqHead
	r.load(ringOpSend, pair[0], second, sendFlags)
	if err := r.fire(); !errors.Is(err, errRingLost) || r.results[0] != notCertain || r.parts[0] == nil {
		t.Errorf("answers lost: result %d, error %v, part kept: %v", r.results[0], err, r.parts[0] != nil)
	}
}

// TestWhoseAnswerIsLostIsEndedBecauseWhatItSaidMayBe has a loop's ring lose the answers to its reads.
func TestWhoseAnswerIsLostIsEndedBecauseWhatItSaidMayBe(t *testing.T) {
	ended := make(chan ID, 10)
	e, err := NewEpoll(Config{Handler: endings(ended), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	g := newGulp()
	if g == nil {
		t.Log("nothing to test: there is no io_uring")
		return
	}
	g.cqTail = g.cqHead
	lp := &loop{engine: e, gulp: g} // it is not running
	var lines []line
	for range fewestTogether {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[1])
		l, err := e.enter(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	lp.readAll(lines, time.Now())
	for _, l := range lines {
		if id := <-ended; id != l.id {
			t.Errorf("%x ended, want %x", uint64(id), uint64(l.id))
		}
	}
	if lp.gulp != nil {
		t.Error("the ring is used again")
	}
}

// endings is a handler that hears of ends alone.
type endings chan ID

func (endings) Opened(ID, Peer)             {}
func (endings) Frame(ID, []byte)            {}
func (endings) Binary(ID)                   {}
func (endings) Drained(ID)                  {}
func (e endings) Closed(id ID, how Closure) { e <- id }
