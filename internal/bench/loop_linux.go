package bench

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loop waits for the sockets of one worker. Its epoll descriptor is itself watched by the Go
// runtime, which is cheaper than a thread that blocks in epoll_wait.
type loop struct {
	file   *os.File // nil while it rests
	raw    syscall.RawConn
	fd     int
	wakeFD int
	armed  bool // a wait has a deadline
	more   bool // a glance has not seen all
	events [512]unix.EpollEvent
}

// wakeSlot is the slot of no machine.
const wakeSlot = -1

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("making an epoll: %w", err), unix.Close(fd))
	}
	l := &loop{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err == nil {
		err = l.add(l.wakeFD, wakeSlot)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a loop: %w", err), l.close())
	}
	return l, nil
}

func (l *loop) close() error {
	_ = unix.Close(l.wakeFD)
	if l.file == nil {
		return unix.Close(l.fd)
	}
	return l.file.Close()
}

// glances is how often a loop that rests looks.
const glances = 2 * time.Millisecond

// rest has the loop look now and then instead of being woken. Waking a process of this host is work
// of whoever sends to it: a server would be charged for what its machines elsewhere do themselves, and
// the more, the less it sends at a time.
func (l *loop) rest() error {
	if l.file == nil {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("resting: %w", err)
	}
	err = l.file.Close() // the runtime watches it no more
	l.file, l.raw, l.fd = nil, nil, fd
	return err
}

func (l *loop) glance() ([]unix.EpollEvent, error) {
	if !l.more {
		rest(glances)
	}
	n, err := unix.EpollWait(l.fd, l.events[:], 0)
	if err == unix.EINTR {
		err = nil
	}
	l.more = n == len(l.events)
	return l.events[:max(n, 0)], err
}

// add watches fd for every change, once each: no other call is needed until it is closed.
func (l *loop) add(fd, slot int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd), Pad: int32(slot)}
	return unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &e)
}

// wake ends a wait from another goroutine.
func (l *loop) wake() {
	_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full: it is awake anyway
}

// wait returns what has happened, or nothing when the time has come. The zero time never comes.
func (l *loop) wait(until time.Time) ([]unix.EpollEvent, error) {
	if l.file == nil {
		return l.glance()
	}
	if l.armed || !until.IsZero() {
		l.armed = !until.IsZero()
		if err := l.file.SetReadDeadline(until); err != nil {
			return nil, err
		}
	}
	var n int
	var failed error
	err := l.raw.Read(func(fd uintptr) bool {
		n, failed = unix.EpollWait(int(fd), l.events[:], 0)
		if failed == unix.EINTR {
			failed = nil
		}
		return n > 0 || failed != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	return l.events[:max(n, 0)], errors.Join(err, failed)
}
