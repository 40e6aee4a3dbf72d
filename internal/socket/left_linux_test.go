package socket

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

// TestWhatEpollTellsOfOnceIsHeardToItsEnd has everything there before the loop looks for the first time:
// no other event follows, and what one read has left must be read, and the end behind it be found.
func TestWhatEpollTellsOfOnceIsHeardToItsEnd(t *testing.T) {
	const size = 1000
	text := frame.AppendMasked(nil, frame.OpText, [4]byte{1, 2, 3, 4}, []byte(strings.Repeat("x", size-8)))
	if len(text) != size {
		t.Fatalf("a frame has %d bytes", len(text))
	}
	for _, frames := range []int{0, 1, loopBuffer / size, loopBuffer/size + 1, 2*loopBuffer/size + 1} {
		for _, ends := range []bool{true, false} {
			h := &listener{endings: make(chan ID, 1), frames: make(chan struct{}, 1000)}
			e, err := NewEpoll(Config{Handler: h, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			l, peer := enteredWith(t, e)
			if n, err := unix.Write(peer, []byte(strings.Repeat(string(text), frames))); err != nil || n != frames*size {
				t.Fatalf("%d bytes written: %v", n, err)
			}
			if ends {
				err = unix.Shutdown(peer, unix.SHUT_WR)
			}
			if err := l.watch(); err != nil {
				t.Fatal(err)
			}
			if !h.hears(frames, ends) || err != nil {
				t.Errorf("%d frames, and the end (%v), were not all that was heard (%v)", frames, ends, err)
			}
			e.Close()
		}
	}
}

// listener is a handler that tells of frames.
type listener struct {
	endings
	frames chan struct{}
}

func (h *listener) Frame(ID, []byte) { h.frames <- struct{}{} }

// hears waits for so many frames, and for the end.
func (h *listener) hears(frames int, end bool) bool {
	late := time.After(10 * time.Second)
	for range frames {
		select {
		case <-h.frames:
		case <-late:
			return false
		}
	}
	if !end {
		return len(h.frames)+len(h.endings) == 0
	}
	select {
	case <-h.endings:
		return len(h.frames) == 0
	case <-late:
		return false
	}
}
