package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/ring"
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
	isDone   bool
	silent   map[int]guest // by descriptor
	queue    []turnOf      // of the silent, and of some who were; all are given the same time
	isArmed  bool          // the alarm is set
	heads    *headReader
	doorway  *doorway
	events   [ring.Size]unix.EpollEvent
	arrivals []arrival  // in this turn
	expected int        // at the port next time
	others   []net.Conn // for net/http, of the last turn
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
		silent: make(map[int]guest), heads: newHeadReader(), doorway: newDoorway(e.cfg, p.most),
	}
	if err := r.open(); err != nil {
		n.close()
		r.doorway.close()
		return nil, fmt.Errorf("receiving connections: %w", err)
	}
	return &patient{Listener: r, most: p.most, shortage: shortage{log: p.shortage.log}}, nil
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
		if len(r.others) > 0 {
			nc := r.others[0]
			r.others = r.others[1:]
			return nc, nil
		}
		var failed error
		err := r.nest.serve(func() (done bool) {
			failed = r.turn()
			return failed != nil || len(r.others) > 0
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.dismissLate(time.Now())
		case err != nil:
			panic("socket: waiting for epoll: " + err.Error())
		case failed != nil:
			return nil, r.failure(failed)
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
	for _, nc := range r.others {
		_ = nc.Close()
	}
	r.doorway.close()
	r.nest.close()
	return r.listener.Close()
}

// failure is err as net/http knows errors of Accept: it tells those apart that pass.
func (r *reception) failure(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: r.listener.Addr(), Err: err}
}

// turn handles what has happened. It stops when there is something that Accept must return.
func (r *reception) turn() error {
	for len(r.others) == 0 {
		n, err := look(r.nest.fd, r.events[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return nil
		}
		if err := r.serve(r.events[:n]); err != nil {
			return err
		}
		runtime.Gosched() // its calls are long, and the runtime does not know of them
	}
	return nil
}

// serve hears those who waited, and then whoever has come.
func (r *reception) serve(events []unix.EpollEvent) (failed error) {
	someCame := false
	for i := range events {
		fd := int(events[i].Fd)
		if fd == r.fd {
			someCame = true
			continue
		}
		r.arrivals = append(r.arrivals, arrival{fd: fd, addr: r.silent[fd].addr})
	}
	r.attend()
	if someCame {
		failed = r.letIn()
		r.attend()
	}
	return failed
}

// letIn takes who is at the port.
func (r *reception) letIn() (failed error) {
	r.arrivals, failed = r.doorway.accept(r.fd, r.expected, r.arrivals)
	n := len(r.arrivals)
	if n >= r.expected {
		n *= 2 // there may have been more
	}
	r.expected = min(n, ring.Size)
	return failed
}

// attend hears those who are here, and lets those in whose handshake is good.
func (r *reception) attend() {
	good := r.arrivals[:0]
	for i, result := range r.doorway.hear(r.arrivals) {
		a := r.arrivals[i]
		r.doorway.answers[i] = r.doorway.answers[i][:0]
		if r.decide(&a, r.doorway.words[i][:], result, &r.doorway.answers[i]) {
			good = append(good, a)
		}
	}
	for i, result := range r.doorway.answer(good) {
		if a := &good[i]; int(result) == len(a.answer) {
			_ = r.engine.adopt(a.fd, a.early, a.peer) // an engine that is closed has closed it
		} else {
			_ = unix.Close(a.fd) // it has gone again
		}
	}
	clear(r.arrivals)
	r.arrivals = r.arrivals[:0]
}

// decide goes by the first words of a connection, or by why there are none: it waits on, is to be let in,
// or is passed on to net/http or closed.
func (r *reception) decide(a *arrival, words []byte, result int32, answer *[]byte) (isGood bool) {
	if result == -int32(unix.EAGAIN) {
		r.seat(a)
		return false
	}
	r.unseat(a.fd)
	if result <= 0 {
		_ = unix.Close(a.fd)
		return false
	}
	if words = words[:result]; !r.handshake(a, words, answer) || r.engine.isClosed() {
		r.handOver(a.fd, words)
		return false
	}
	return true
}

// seat has a connection wait until it says something.
func (r *reception) seat(a *arrival) {
	if _, isHere := r.silent[a.fd]; isHere {
		return
	}
	leave, ok := r.rules.Enter(a.addr.Addr())
	if !ok {
		_ = unix.Close(a.fd)
		return
	}
	if err := r.watch(a.fd); err != nil {
		leave()
		_ = unix.Close(a.fd)
		r.engine.shortage.tell(err)
		return
	}
	g := guest{addr: a.addr, leave: leave, until: time.Now().Add(r.rules.Patience)}
	r.silent[a.fd] = g
	r.enqueue(turnOf{a.fd, g.until})
}

// unseat forgets one who may have waited.
func (r *reception) unseat(fd int) {
	g, wasHere := r.silent[fd]
	if !wasHere {
		return
	}
	delete(r.silent, fd)
	g.leave()
	// It cannot fail: the descriptor is open and known.
	_ = unix.EpollCtl(r.nest.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// handshake reads a handshake that is beyond doubt. The rules are those of Upgrade.
func (r *reception) handshake(a *arrival, data []byte, answer *[]byte) (ok bool) {
	q, size, ok := r.heads.read(data)
	if !ok {
		return false
	}
	q.RemoteAddr = a.addr.String()
	accept, bad := checkHandshake(q)
	if bad != nil {
		return false
	}
	a.peer, ok = r.rules.Admit(q)
	*answer = appendAnswer(*answer, accept, agree(r.engine.cfg.Subprotocols, q))
	a.taken = taken{early: data[size:], answer: *answer}
	return ok
}

// handOver makes a connection for net/http, and closes it if that cannot be.
func (r *reception) handOver(fd int, data []byte) {
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close() // the connection has a descriptor of its own
	nc, err := net.FileConn(f)
	if err != nil {
		r.engine.shortage.tell(err)
		return
	}
	r.others = append(r.others, &handed{Conn: nc, early: append([]byte(nil), data...)})
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
