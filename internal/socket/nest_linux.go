package socket

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nest is an epoll that is itself waited for by Go's poller: who waits for it is a parked goroutine, and no
// thread. Between the two lies a gate, an epoll that tells once and is then shut: what happens while the
// goroutine is awake would wake a thread of the poller's for nothing.
type nest struct {
	fd   int // the epoll
	gate int
	file *os.File // the gate as Go's poller knows it
	raw  syscall.RawConn
}

func newNest() (nest, error) {
	n := nest{fd: -1, gate: -1}
	if err := n.open(); err != nil {
		n.close()
		return nest{}, fmt.Errorf("nesting epoll: %w", err)
	}
	return n, nil
}

func (n *nest) open() (err error) {
	if n.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if n.gate, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err := n.setGate(unix.EPOLL_CTL_ADD, 0); err != nil {
		return err
	}
	// What is not non-blocking is not given to Go's poller.
	if err := unix.SetNonblock(n.gate, true); err != nil {
		return err
	}
	n.file = os.NewFile(uintptr(n.gate), "epoll")
	if n.raw, err = n.file.SyscallConn(); err != nil {
		return err
	}
	return n.file.SetDeadline(time.Time{}) // refused if the poller has not taken it
}

// serve calls f at once and whenever something has happened, until f is done. It returns
// os.ErrDeadlineExceeded when the file's deadline ends the waiting. Waiting and serving are one call of
// Read: between two, what the poller told would be lost.
func (n nest) serve(f func() (done bool)) error {
	return n.raw.Read(func(uintptr) (done bool) {
		var told [1]unix.EpollEvent
		_, _ = look(n.gate, told[:]) // which shuts it
		done = f()
		_ = n.setGate(unix.EPOLL_CTL_MOD, unix.EPOLLIN) // which tells at once of what f has not seen. It cannot fail
		return done
	})
}

func (n nest) setGate(op int, to uint32) error {
	return unix.EpollCtl(n.gate, op, n.fd, &unix.EpollEvent{Events: to | unix.EPOLLONESHOT})
}

func (n nest) close() {
	if n.file != nil {
		_ = n.file.Close()
	} else if n.gate >= 0 {
		_ = unix.Close(n.gate)
	}
	if n.fd >= 0 {
		_ = unix.Close(n.fd)
	}
}
