package ring

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAnswersThatDoNotComeAreNotWaitedForForEver has a ring look for its answers in the wrong place. It
// lies inside the package because no kernel can be made to lose answers.
func TestAnswersThatDoNotComeAreNotWaitedForForEver(t *testing.T) {
	r, err := New()
	if err != nil {
		t.Log("nothing to test:", err)
		return
	}
	defer r.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	first, second := []byte("first"), []byte("second")
	r.Load(Send, pair[0], first)
	if err := r.Fire(); err != nil || r.results[0] != int32(len(first)) || r.parts[0] != nil {
		t.Fatalf("a healthy ring: result %d, error %v, part kept: %v", r.results[0], err, r.parts[0] != nil)
	}
	r.cqTail = r.cqHead
	r.Load(Send, pair[0], second)
	if err := r.Fire(); !errors.Is(err, ErrLost) || r.results[0] != NotCertain || r.parts[0] == nil {
		t.Errorf("answers lost: result %d, error %v, part kept: %v", r.results[0], err, r.parts[0] != nil)
	}
}
