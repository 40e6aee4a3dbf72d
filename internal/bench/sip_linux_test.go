package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/ring"
	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

func TestWhatManyMachinesAreSentIsReadWholeTogetherAsAlone(t *testing.T) {
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprint("together: ", together), func(t *testing.T) {
			w := newWorker(io.Discard)
			w.server.dialect, _ = dialectOf("fleetline")
			w.turnAt = -1 // no turn ends
			if together {
				w.sips.ring, _ = ring.New()
			}
			var sent int64
			for range 3*ring.Size + 1 {
				m, far := connected(t)
				sent += fillUp(t, far)
				if !canSip(m, unix.EPOLLIN|unix.EPOLLOUT) {
					t.Fatal("a live machine that has something to read is not read with others")
				}
				w.sip(m)
			}
			w.sipAll()
			if w.counted != sent || len(w.ended) > 0 {
				t.Errorf("%d messages of %d were read; ended: %v", w.counted, sent, w.ended)
			}
			if w.sips.ring != nil {
				w.sips.ring.Close()
			}
		})
	}
}

// connected is a machine whose server is far.
func connected(t *testing.T) (m *machine, far int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) })
	return &machine{fd: pair[0], stage: live}, pair[1]
}

// fillUp sends messages that are together as long as a part of the buffer, or a little less or more.
func fillUp(t *testing.T, far int) (n int64) {
	left := sipSize*(1+rand.IntN(2)) + rand.IntN(5) - 2
	for left > 0 {
		const around = len(`{"type":"data","data":""}`)
		size := min(left, 200+rand.IntN(100))
		if left-size < 100 {
			size = left
		}
		left -= size
		body := max(0, size-around-4) // and a header, whose length depends on it
		text := `{"type":"data","data":"` + strings.Repeat("x", body) + `"}`
		if _, err := unix.Write(far, frame.AppendText(nil, []byte(text))); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
