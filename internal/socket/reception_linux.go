package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reception stands between the port and net/http. A machine whose whole handshake comes in one piece
// is let in at once, without a goroutine or a buffer of its own; one that has said nothing yet costs a
// descriptor and an entry. Whoever says anything else is handed to net/http, whose bounds hold for
// what is slow, large or odd.
//
// It works while Accept runs, in that goroutine.
type reception struct {
	// Fixed after construction.
	engine   *Epoll
	rules    Reception
	listener *net.TCPListener
	fd       int // the listener's
	nest     nest
	alarm    alarm

	mu sync.Mutex // held by Accept
	// Guarded by mu.
	isDone  bool
	silent  map[int]guest // by descriptor
	queue   []turnOf      // of the silent, and of some who were; all are given the same time
	isArmed bool          // the alarm is set
	heads   *headReader
	events  [loopEvents]unix.EpollEvent
	buf     [receptionBuffer]byte
	answer  []byte // to the handshake that was read last
}

// guest is a connection that has said nothing yet.
type guest struct {
	addr  netip.AddrPort
	leave func()
	until time.Time
}

// turnOf is when a guest's time is up.
type turnOf struct {
	fd    int
	until time.Time
}

const (
	// receptionBuffer bounds a handshake that is not handed to net/http.
	receptionBuffer = 8 << 10
	// acceptMost is how many are let in before the others get their turn.
	acceptMost = 64
	// deferAccept is for how many seconds the kernel keeps a connection to itself that has said nothing.
	// Machines speak at once: most are then taken, heard and let in without being waited for.
	deferAccept = 1
)

// Receive implements Receiver.
func (e *Epoll) Receive(l net.Listener, rules Reception) (net.Listener, error) {
	p, ok := l.(*patient)
	if !ok {
		return nil, errors.New("receiving connections: the listener is not one of Listen's")
	}
	tcp, ok := p.Listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("receiving connections: %w", errNotRaw)
	}
	n, err := newNest()
	if err != nil {
		return nil, fmt.Errorf("receiving connections: %w", err)
	}
	r := &reception{
		engine: e, rules: rules, listener: tcp, nest: n, alarm: alarm{file: n.file},
		silent: make(map[int]guest), heads: newHeadReader(),
	}
	if err := r.open(); err != nil {
		n.close()
		return nil, fmt.Errorf("receiving connections: %w", err)
	}
	return &patient{Listener: r, shortage: shortage{log: p.shortage.log}}, nil
}

// open watches the listener, and sets on it what every connection inherits.
func (r *reception) open() error {
	raw, err := r.listener.SyscallConn()
	if err != nil {
		return err
	}
	outside := raw.Control(func(fd uintptr) {
		r.fd = int(fd)
		// These only tune.
		_ = unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
		_ = unix.SetsockoptInt(r.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(r.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept)
		err = r.watch(r.fd)
	})
	return errors.Join(outside, err)
}

func (r *reception) watch(fd int) error {
	return unix.EpollCtl(r.nest.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Addr implements net.Listener.
func (r *reception) Addr() net.Addr { return r.listener.Addr() }

// Accept implements net.Listener: it lets machines in until there is a connection for net/http.
func (r *reception) Accept() (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.alarm.isOff() {
		var nc net.Conn
		var failed error
		err := r.nest.raw.Read(func(uintptr) (done bool) {
			nc, failed = r.turn()
			return nc != nil || failed != nil
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.dismissLate(time.Now())
		case err != nil:
			panic("socket: waiting for epoll: " + err.Error())
		default:
			return nc, failed
		}
	}
	return nil, r.failure(net.ErrClosed)
}

// Close implements net.Listener. Those who have said nothing are closed with it.
func (r *reception) Close() error {
	r.alarm.turnOff()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isDone {
		return nil
	}
	r.isDone = true
	for fd := range r.silent {
		r.dismiss(fd)
	}
	r.nest.close()
	return r.listener.Close()
}

// failure is err as net/http knows errors of Accept: it tells those apart that pass.
func (r *reception) failure(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: r.listener.Addr(), Err: err}
}

// turn handles what has happened. It stops at the first that Accept must return; epoll tells of the
// rest again.
func (r *reception) turn() (nc net.Conn, err error) {
	for {
		n, err := unix.EpollWait(r.nest.fd, r.events[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return nil, nil
		}
		for i := range n {
			if fd := int(r.events[i].Fd); fd == r.fd {
				nc, err = r.letIn()
			} else {
				nc = r.hear(fd)
			}
			if nc != nil || err != nil {
				return nc, err
			}
		}
	}
}

// letIn takes who is at the port.
func (r *reception) letIn() (net.Conn, error) {
	for range acceptMost {
		fd, from, err := accept(r.fd)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case isBrokenOff(err):
			continue
		case err != nil:
			return nil, r.failure(os.NewSyscallError("accept4", err))
		}
		if nc := r.seat(fd, from); nc != nil {
			return nc, nil
		}
	}
	return nil, nil
}

// isBrokenOff tells that a connection has failed before it was taken: Linux tells of that then.
func isBrokenOff(err error) bool {
	switch err {
	case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN,
		unix.EHOSTUNREACH, unix.ENONET, unix.EOPNOTSUPP, unix.EPERM:
		return true
	}
	return false
}

// seat hears a connection that has come, or has it wait until it says something.
func (r *reception) seat(fd int, addr netip.AddrPort) net.Conn {
	n, err := recv(fd, r.buf[:])
	if err != unix.EAGAIN {
		return r.decide(fd, addr, n, err)
	}
	leave, ok := r.rules.Enter(addr.Addr())
	if !ok {
		_ = unix.Close(fd)
		return nil
	}
	if err := r.watch(fd); err != nil {
		leave()
		_ = unix.Close(fd)
		r.engine.shortage.tell(err)
		return nil
	}
	g := guest{addr: addr, leave: leave, until: time.Now().Add(r.rules.Patience)}
	r.silent[fd] = g
	r.enqueue(turnOf{fd, g.until})
	return nil
}

// hear reads the first words of one who waited.
func (r *reception) hear(fd int) net.Conn {
	n, err := recv(fd, r.buf[:])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	g := r.silent[fd]
	delete(r.silent, fd)
	g.leave()
	// It cannot fail: the descriptor is open and known.
	_ = unix.EpollCtl(r.nest.fd, unix.EPOLL_CTL_DEL, fd, nil)
	return r.decide(fd, g.addr, n, err)
}

// decide goes by the first n bytes of a connection: it is let in, returned for net/http, or closed.
func (r *reception) decide(fd int, addr netip.AddrPort, n int, err error) net.Conn {
	if err != nil || n == 0 {
		_ = unix.Close(fd)
		return nil
	}
	t, peer, ok := r.handshake(r.buf[:n], addr)
	if !ok || r.engine.isClosed() {
		return r.handOver(fd, r.buf[:n])
	}
	_ = r.engine.welcome(fd, t.answer, t.early, peer) // it has gone again
	return nil
}

// handshake reads a handshake that is beyond doubt. The rules are those of Upgrade.
func (r *reception) handshake(data []byte, addr netip.AddrPort) (t taken, peer Peer, ok bool) {
	q, size, ok := r.heads.read(data)
	if !ok {
		return taken{}, Peer{}, false
	}
	q.RemoteAddr = addr.String()
	accept, bad := checkHandshake(q)
	if bad != nil {
		return taken{}, Peer{}, false
	}
	peer, ok = r.rules.Admit(q)
	r.answer = appendAnswer(r.answer[:0], accept, agree(r.engine.cfg.Subprotocols, q))
	return taken{early: data[size:], answer: r.answer}, peer, ok
}

// handOver makes a connection for net/http, and closes it if that cannot be.
func (r *reception) handOver(fd int, data []byte) net.Conn {
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close() // the connection has a descriptor of its own
	nc, err := net.FileConn(f)
	if err != nil {
		r.engine.shortage.tell(err)
		return nil
	}
	return &handed{Conn: nc, early: append([]byte(nil), data...)}
}

// enqueue notes when a guest's time is up. Those at the head who have left are forgotten.
func (r *reception) enqueue(t turnOf) {
	r.forgetGone()
	r.queue = append(r.queue, t)
	if !r.isArmed {
		r.isArmed = true
		r.alarm.set(t.until)
	}
}

func (r *reception) forgetGone() {
	for len(r.queue) > 0 && !r.silent[r.queue[0].fd].until.Equal(r.queue[0].until) {
		r.queue = r.queue[1:]
	}
}

// dismissLate closes those whose time is up.
func (r *reception) dismissLate(now time.Time) {
	for r.forgetGone(); len(r.queue) > 0 && !r.queue[0].until.After(now); r.forgetGone() {
		r.dismiss(r.queue[0].fd)
	}
	r.isArmed = len(r.queue) > 0
	if !r.isArmed {
		r.queue = nil
		r.alarm.set(time.Time{})
		return
	}
	r.alarm.set(r.queue[0].until)
}

func (r *reception) dismiss(fd int) {
	g := r.silent[fd]
	delete(r.silent, fd)
	_ = unix.Close(fd)
	g.leave()
}

// alarm interrupts the waiting of a nest at a moment, or for ever.
type alarm struct {
	file *os.File

	mu sync.Mutex
	// Guarded by mu.
	off bool
}

// set has the waiting end at t; the zero time means never.
func (a *alarm) set(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off {
		_ = a.file.SetReadDeadline(t)
	}
}

// turnOff ends this waiting and every later one.
func (a *alarm) turnOff() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = true
	_ = a.file.SetReadDeadline(time.Unix(1, 0))
}

func (a *alarm) isOff() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.off
}
