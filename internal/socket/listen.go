package socket

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Listen opens a port for machines. A process that has run out of descriptors goes on listening, and so does
// one that has only those left that are kept for what is no machine: who comes in the meantime waits or is
// turned away, and is let in when there are some again. The log says so, at most once a second.
func Listen(ctx context.Context, addr string, log *slog.Logger) (net.Listener, error) {
	// No probes by the kernel: heartbeats find out what those would, and every idle connection of the
	// fleet would be woken at both ends.
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &patient{Listener: l, most: machineDescriptors(), shortage: shortage{log: log}}, nil
}

// patient tells of what Accept cannot do. net/http then tries again by itself, after a pause that
// grows from 5 ms to one second.
type patient struct {
	net.Listener
	most     int // the descriptors of machines are below
	shortage shortage
}

func (l *patient) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil && descriptorOf(nc) >= l.most {
		_ = nc.Close()
		nc, err = nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	l.shortage.tell(err)
	return nc, err
}

// descriptorOf is 0 where nobody can say.
func descriptorOf(nc net.Conn) (number int) {
	if c, ok := nc.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { number = int(fd) }) // it fails for who has gone
		}
	}
	return number
}

// shortage tells of a lack of descriptors or memory, at most once a second.
type shortage struct {
	log  *slog.Logger
	told atomic.Int64 // Unix nanoseconds
}

const tellEvery = time.Second

// tell does nothing for other errors, and for nil.
func (s *shortage) tell(err error) {
	if !isShortage(err) {
		return
	}
	now, told := time.Now().UnixNano(), s.told.Load()
	if now-told >= int64(tellEvery) && s.told.CompareAndSwap(told, now) {
		s.log.Warn("machines are not let in: this process has used up what it may open; "+
			"raise ulimit -n, or LimitNOFILE in its unit", "err", err)
	}
}

func isShortage(err error) bool {
	for _, why := range shortages {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
