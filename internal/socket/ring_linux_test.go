package socket

import (
	"errors"
	"testing"

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
	r.load(pair[0], first)
	if err := r.fire(); err != nil || r.results[0] != int32(len(first)) || r.frames[0] != nil {
		t.Fatalf("a healthy ring: result %d, error %v, frame kept: %v", r.results[0], err, r.frames[0] != nil)
	}
	r.cqTail = r.cqHead
	r.load(pair[0], second)
	if err := r.fire(); !errors.Is(err, errRingLost) || r.results[0] != notCertain || r.frames[0] == nil {
		t.Errorf("answers lost: result %d, error %v, frame kept: %v", r.results[0], err, r.frames[0] != nil)
	}
}
