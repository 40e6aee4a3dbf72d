package socket

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file never wait: the flags say so with every call, whatever the descriptor says; a
// listener is one of the runtime's, which do not wait. The runtime is not told of the frequent ones: it
// would only prepare for a wait that does not come.
const (
	recvFlags = unix.MSG_DONTWAIT
	sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
)

// recv reads into p, which must not be empty. Zero bytes without an error are the end.
func recv(fd int, p []byte) (int, error) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), recvFlags, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// send writes what the kernel takes of p, which must not be empty.
func send(fd int, p []byte) (int, error) {
	n, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), sendFlags, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// look tells what has happened to the descriptors that an epoll knows, without waiting.
func look(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// accept takes a connection that has come, and returns its descriptor, or an error's number below zero.
func accept(listener int, from *unix.RawSockaddrAny) int {
	size := uint32(unsafe.Sizeof(*from))
	n, _, err := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if err != 0 {
		return -int(err)
	}
	return int(n)
}

func addrPort(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(&a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), hostOrder(&a.Port))
	}
	return netip.AddrPort{}
}

// hostOrder reads a port, which the kernel writes in the network's order.
func hostOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// gatherMost is how many frames one write takes: together they fill a socket's buffer, also small
// ones.
const gatherMost = 256

// gather is what one write of many frames needs.
type gather struct {
	header unix.Msghdr
	iovecs [gatherMost]unix.Iovec
}

// gatherFrames makes one write of up to gatherMost frames, none of which may be empty, and returns
// how many bytes the kernel took, of how many.
func gatherFrames[F ~[]byte](g *gather, fd int, frames []F) (n, size int, err error) {
	iovecs := g.iovecs[:len(frames)]
	defer clear(iovecs) // it must not hold frames that are written
	for i, f := range frames {
		iovecs[i].Base = &f[0]
		iovecs[i].SetLen(len(f))
		size += len(f)
	}
	g.header.Iov = &iovecs[0]
	g.header.SetIovlen(len(iovecs))
	taken, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&g.header)), sendFlags)
	if errno != 0 {
		return 0, size, errno
	}
	return int(taken), size, nil
}

// errNotRaw is returned for a connection that has no descriptor of its own to take: TLS, or a pipe.
var errNotRaw = errors.New("no plain TCP connection")

// detach takes a connection away from Go's runtime. For the moment of it, the connection has two
// descriptors. It is closed unless the error is errNotRaw.
func detach(nc net.Conn) (fd int, err error) {
	tcp, ok := bare(nc).(*net.TCPConn)
	if !ok {
		return -1, errNotRaw
	}
	// Closing takes the old descriptor out of the runtime's poller; the connection lives on in the new.
	defer tcp.Close()
	fd, err = duplicate(tcp)
	if err != nil {
		return -1, err
	}
	// These only tune: a connection that refuses them works. Heartbeats find out what probes of the
	// kernel would, and those would wake both ends of every idle connection.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	return fd, nil
}

func duplicate(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	// Not tcp.File, which would hand the copy to the runtime again.
	outside := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(outside, err)
}

// hasUnsent tells whether the kernel holds bytes that the peer has not taken.
func hasUnsent(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err == nil && n > 0
}

// forget has the kernel drop what it holds when the descriptor is closed.
func forget(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
