package socket

import (
	"log/slog"
	"net/netip"
	"os"

	"github.com/fleetline/fleetline/internal/ring"
	"golang.org/x/sys/unix"
)

// doorway is a ring that takes connections, reads what they say first and answers them, many in one call.
// It is a reception's, and without a ring there is one call for each.
type doorway struct {
	// Fixed after construction.
	log  *slog.Logger
	most int // the descriptors of machines are below

	// Owned by who holds the reception.
	ring    *ring.Ring // nil: one by one
	spoilt  *ring.Ring // one that was given up. It is kept: the kernel may not be done
	isOld   bool       // the kernel cannot accept through a ring without waiting
	callers [ring.Size]ring.Caller
	words   [ring.Size][receptionBuffer]byte
	answers [ring.Size][]byte // of the last turn, whose memory is used again
	results [ring.Size]int32
}

// arrival is a connection at the doorway.
type arrival struct {
	fd   int
	addr netip.AddrPort
	// Set when its handshake is good.
	taken
	peer Peer
}

func newDoorway(cfg Config, most int) *doorway {
	d := &doorway{log: cfg.Logger, most: most}
	if cfg.OneByOne {
		return d
	}
	r, err := ring.New()
	if err != nil {
		d.log.Debug("no io_uring: machines are let in one by one", slog.Any("error", err))
		return d
	}
	d.ring = r
	return d
}

func (d *doorway) close() {
	if d.ring != nil {
		d.ring.Close()
		d.ring = nil
	}
}

// together makes n calls and returns their results, as those of a ring: load loads the i-th call and
// alone makes it by itself.
func (d *doorway) together(n int, load func(r *ring.Ring, i int), alone func(i int) int32) []int32 {
	results := d.results[:n]
	r := d.ring
	if r == nil || n < fewestTogether {
		for i := range results {
			results[i] = alone(i)
		}
		return results
	}
	for i := range results {
		load(r, i)
	}
	d.fire()
	for i := range results {
		if results[i] = r.Result(i); results[i] == ring.NotBegun {
			results[i] = alone(i)
		}
	}
	return results
}

// fire makes the calls that are loaded, and gives a ring up that misbehaves.
func (d *doorway) fire() {
	if err := d.ring.Fire(); err != nil {
		d.ring.Close()
		d.ring, d.spoilt = nil, d.ring
		d.log.Warn("io_uring has failed: from now on machines are let in one by one", slog.Any("error", err))
	}
}

// hear reads what they say, each into words of its own.
func (d *doorway) hear(from []arrival) []int32 {
	return d.together(len(from), func(r *ring.Ring, i int) {
		r.Load(ring.Recv, from[i].fd, d.words[i][:])
	}, func(i int) int32 { return resultOf(recv(from[i].fd, d.words[i][:])) })
}

// answer writes the answers to their handshakes.
func (d *doorway) answer(to []arrival) []int32 {
	return d.together(len(to), func(r *ring.Ring, i int) {
		r.Load(ring.Send, to[i].fd, to[i].answer)
	}, func(i int) int32 { return resultOf(send(to[i].fd, to[i].answer)) })
}

// resultOf is what a ring would say of a call.
func resultOf(n int, err error) int32 {
	if err != nil {
		return -int32(err.(unix.Errno))
	}
	return int32(n)
}

// accept adds those to list who are at the port: about as many as are expected, if a ring takes them, and
// epoll tells of the others again.
func (d *doorway) accept(listener, expected int, list []arrival) ([]arrival, error) {
	if d.ring == nil || d.isOld || expected < fewestTogether {
		return d.acceptOneByOne(listener, list)
	}
	r := d.ring
	for i := range expected {
		r.LoadAccept(listener, &d.callers[i])
	}
	d.fire()
	var failed error
	for i := range expected {
		switch result := r.Result(i); result {
		case ring.NotBegun, ring.NotCertain, -int32(unix.EAGAIN):
		case -int32(unix.EINVAL):
			d.isOld = true // what else it may mean, the plain call says
		default:
			if err := d.arrive(&list, int(result), &d.callers[i]); err != nil {
				failed = err
			}
		}
	}
	return list, failed
}

func (d *doorway) acceptOneByOne(listener int, list []arrival) ([]arrival, error) {
	for range ring.Size {
		result := accept(listener, &d.callers[0].Addr)
		if result == -int(unix.EAGAIN) {
			break
		}
		if err := d.arrive(&list, result, &d.callers[0]); err != nil {
			return list, err
		}
	}
	return list, nil
}

// arrive adds a connection that has been accepted, or returns why none can be.
func (d *doorway) arrive(list *[]arrival, result int, from *ring.Caller) error {
	switch err := unix.Errno(max(-result, 0)); {
	case result >= d.most:
		_ = unix.Close(result)
		return os.NewSyscallError("accept4", unix.EMFILE)
	case result >= 0:
		*list = append(*list, arrival{fd: result, addr: addrPort(&from.Addr)})
		return nil
	case isBrokenOff(err):
		return nil
	default:
		return os.NewSyscallError("accept4", err)
	}
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
