package bench

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// now reads the monotonic clock that all processes of the host share.
func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}

// sleepUntil wakes within a few microseconds of at; timers of the Go runtime may be a millisecond
// late. The calling thread must have gone through beExact.
func sleepUntil(at int64) {
	t := unix.NsecToTimespec(at)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t, nil) == unix.EINTR {
	}
}

// beExact has the kernel wake the calling thread without the slack that it allows itself.
func beExact() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, it is 50 us late
}

// rest keeps the thread asleep, whatever happens: the runtime is not told, or it would have another
// thread wait for what happens.
func rest(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

func since(at int64) time.Duration { return time.Duration(now() - at) }
