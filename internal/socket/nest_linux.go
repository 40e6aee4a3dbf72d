package socket

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nest is an epoll whose descriptor is itself waited for by Go's poller: who waits for it is a parked
// goroutine, and no thread.
type nest struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
}

func newNest() (nest, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nest{}, fmt.Errorf("creating epoll: %w", err)
	}
	// What is not non-blocking is not given to Go's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nest{}, fmt.Errorf("creating epoll: %w", err)
	}
	n := nest{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	n.raw, err = n.file.SyscallConn()
	if err == nil {
		err = n.file.SetDeadline(time.Time{}) // refused if the poller has not taken it
	}
	if err != nil {
		n.close()
		return nest{}, fmt.Errorf("nesting epoll: %w", err)
	}
	return n, nil
}

func (n nest) close() { _ = n.file.Close() }
