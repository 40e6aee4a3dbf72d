package socket

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestANestThatIsServedWakesNobody has one thing after another happen while the nest is being served: the
// poller must not hear of them, and none may be missed when serving is over.
func TestANestThatIsServedWakesNobody(t *testing.T) {
	n, err := newNest()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if err := n.file.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.EpollCtl(n.fd, unix.EPOLL_CTL_ADD, pair[0], &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}); err != nil {
		t.Fatal(err)
	}
	const things = 100
	seen := 0
	err = n.serve(func() (done bool) {
		var events [1]unix.EpollEvent
		some, _ := look(n.fd, events[:])
		seen += max(some, 0)
		if seen < things {
			_, _ = unix.Write(pair[1], []byte("x"))
		}
		if told, _ := look(n.gate, events[:]); told > 0 {
			t.Error("the poller is told of what happens while the nest is served")
		}
		return seen == things
	})
	if err != nil {
		t.Errorf("%d of %d things were seen: %v", seen, things, err)
	}
}

// TestALoopWaitsForMoreOnlyWhereManySpeakAndNobodyIsWrittenTo counts what a loop says of its turns.
func TestALoopWaitsForMoreOnlyWhereManySpeakAndNobodyIsWrittenTo(t *testing.T) {
	e, err := NewEpoll(Config{Handler: endings(make(chan ID, 2*fewestTogether)), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	lp, err := newLoop(e) // it is not running
	if err != nil {
		t.Fatal(err)
	}
	defer lp.close()
	var peers []int
	for range 2 * fewestTogether {
		l, peer := enteredWith(t, e)
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(l.id.Slot()), Pad: int32(l.id >> 32)}
		if len(peers) == 0 {
			ev.Events |= unix.EPOLLOUT // it has room, which is told with whatever it says
		}
		if err := unix.EpollCtl(lp.fd, unix.EPOLL_CTL_ADD, int(l.rec.fd), &ev); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, peer)
	}
	_ = lp.serve()
	for _, c := range []struct{ from, to, want int }{
		{1, 1, 0}, {1, 2, 1}, {1, 1 + fewestTogether, fewestTogether}, {1, len(peers), len(peers) - 1}, {0, len(peers), 0},
	} {
		for _, peer := range peers[c.from:c.to] {
			if _, err := unix.Write(peer, []byte{0x8a, 0x80, 0, 0, 0, 0}); err != nil { // a pong
				t.Fatal(err)
			}
		}
		if together := lp.serve(); together != c.want {
			t.Errorf("%d to %d spoke, and the loop says %d, want %d", c.from, c.to, together, c.want)
		}
	}
	long := bytes.Repeat([]byte{0x8a, 0x80, 0, 0, 0, 0}, loopBuffer/3) // twice what a turn reads
	if n, err := unix.Write(peers[1], long); err != nil || n < len(long) {
		t.Fatal(n, err)
	}
	if together := lp.serve(); together > 1 {
		t.Errorf("one has much to say, and the loop takes it for %d", together)
	}
	for _, peer := range peers[1:] {
		_ = unix.Shutdown(peer, unix.SHUT_WR)
	}
	if together := lp.serve(); together != 0 {
		t.Errorf("all but one leave, and %d are taken to go on", together)
	}
	_ = unix.Shutdown(peers[0], unix.SHUT_WR) // Close waits for this loop
	_ = lp.serve()
}
