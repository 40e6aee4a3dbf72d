package ring

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Size is how many transfers one system call makes at most: more would save next to nothing.
const Size = 64

// Op is a kind of transfer, by its number in linux/io_uring.h.
type Op uint8

// The kinds of transfer, which are the calls of their names.
const (
	Send Op = 26
	Recv Op = 27
)

const (
	opAccept Op = 13
	// acceptDontWait came by Linux 6.10. Without it the kernel would wait, also where the listener does not.
	acceptDontWait = 1 << 1
)

// Caller is where the kernel writes who has been accepted.
type Caller struct {
	Addr unix.RawSockaddrAny
	size uint32
}

// Ring makes transfers, and accepts. Every call says that it does not wait, so the kernel makes it inside
// the one that fires them: what a socket does not take or have ends with EAGAIN, and is neither queued nor
// handed to a worker. A ring is one goroutine's at a time, on whatever thread.
type Ring struct {
	// Fixed after construction.
	fd             int
	memory         []byte // shared with the kernel: both queues
	calls          []byte // shared with the kernel: the transfers
	sqHead, sqTail *uint32
	cqHead, cqTail *uint32
	sqes           []sqe
	cqes           []cqe

	// Owned by who uses the ring.
	loaded int
	// parts keeps alive what the kernel has only the addresses of, and on the heap, where nothing moves.
	// The kernel uses them inside the call and not later.
	parts   [Size][]byte
	results [Size]int32
	limit   [2]int64
	wait    waitLimit
}

// The results of transfers that the kernel has not answered.
const (
	NotBegun   = math.MinInt32     // it has not seen them
	NotCertain = math.MinInt32 + 1 // it may have made them
)

// ErrLost is returned by Fire when the kernel does not answer.
var ErrLost = errors.New("io_uring leaves transfers unanswered")

// New returns an error where the system has no io_uring, or refuses it.
func New() (*Ring, error) {
	var p params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, Size, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("setting up io_uring: %w", errno)
	}
	r := &Ring{fd: int(fd)}
	if p.features&needed != needed {
		r.Close()
		return nil, fmt.Errorf("setting up io_uring: %w", errors.ErrUnsupported)
	}
	if err := r.share(&p); err != nil {
		r.Close()
		return nil, fmt.Errorf("sharing memory with io_uring: %w", err)
	}
	return r, nil
}

// share maps the ring's memory.
func (r *Ring) share(p *params) (err error) {
	size := max(p.sq.array+4*p.sqEntries, p.cq.cqes+cqeSize*p.cqEntries)
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.memory, err = unix.Mmap(r.fd, 0, int(size), prot, flags); err != nil {
		return err
	}
	if r.calls, err = unix.Mmap(r.fd, offSQEs, int(sqeSize*p.sqEntries), prot, flags); err != nil {
		return err
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[offset])) }
	r.sqHead, r.sqTail = at(p.sq.head), at(p.sq.tail)
	r.cqHead, r.cqTail = at(p.cq.head), at(p.cq.tail)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.calls[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&r.memory[p.cq.cqes])), p.cqEntries)
	for i := range p.sqEntries {
		*at(p.sq.array + 4*i) = i // each place of the queue has its own call, for ever
	}
	return nil
}

// Close gives the ring back. What was not fired is forgotten.
func (r *Ring) Close() {
	for _, shared := range [][]byte{r.memory, r.calls} {
		if shared != nil {
			_ = unix.Munmap(shared)
		}
	}
	_ = unix.Close(r.fd)
}

// Loaded is how many transfers wait for Fire.
func (r *Ring) Loaded() int { return r.loaded }

// flags say that no transfer waits.
const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// Load adds a transfer, of Size at most. part must not be empty.
func (r *Ring) Load(op Op, fd int, part []byte) {
	r.load(sqe{op: uint8(op), fd: int32(fd), flags: flags, size: uint32(len(part))}, part)
}

// LoadAccept adds the taking of a connection, whose descriptor is the result. Where Linux is older than
// 6.10 the result is EINVAL.
func (r *Ring) LoadAccept(listener int, from *Caller) {
	from.size = uint32(unsafe.Sizeof(from.Addr))
	r.load(sqe{
		op: uint8(opAccept), fd: int32(listener), more: acceptDontWait, flags: unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC,
		addr2: addressOf(&from.size),
	}, bytesOf(&from.Addr))
}

// load adds a call that has part's address.
func (r *Ring) load(call sqe, part []byte) {
	call.addr, call.userData = addressOf(&part[0]), uint64(r.loaded)
	r.sqes[(atomic.LoadUint32(r.sqTail)+uint32(r.loaded))%uint32(len(r.sqes))] = call
	r.parts[r.loaded], r.results[r.loaded] = part, NotBegun
	r.loaded++
}

func addressOf[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

func bytesOf[T any](p *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) }

// Fire makes the transfers. After an error the ring must not be used again, and must be kept as long as
// the kernel may not be done with it.
func (r *Ring) Fire() error {
	first := atomic.LoadUint32(r.sqTail)
	atomic.StoreUint32(r.sqTail, first+uint32(r.loaded))
	err := r.submit()
	begun := int(atomic.LoadUint32(r.sqHead) - first)
	for i := range begun {
		r.results[i] = NotCertain
	}
	if err = errors.Join(err, r.collect(begun)); err != nil {
		return err // and the parts stay alive with the ring
	}
	clear(r.parts[:r.loaded])
	r.loaded = 0
	return nil
}

// Result is how many bytes the transfer moved that was loaded as the i-th before the last Fire, or an
// error's number below zero.
func (r *Ring) Result(i int) int32 { return r.results[i] }

// submit has the kernel see all that is loaded.
func (r *Ring) submit() error {
	for left := r.loaded; left > 0; {
		n, err := r.enter(left)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("entering io_uring: %w", err)
		case n == 0:
			return errors.New("io_uring takes no calls")
		}
		left -= n
	}
	return nil
}

// collect takes as many answers as there were transfers. They are there: the kernel has made them all
// inside the call. One that has not, against its word, is given a moment.
func (r *Ring) collect(begun int) error {
	const tries, patience = 10, 100 * time.Millisecond // signals end a wait early
	for range tries {
		begun -= r.reap()
		if begun == 0 {
			return nil
		}
		r.limit[1] = int64(patience)
		r.wait.limit = uint64(uintptr(unsafe.Pointer(&r.limit)))
		r.await(begun)
	}
	return ErrLost
}

// reap takes the answers that are there, and returns how many.
func (r *Ring) reap() int {
	head, tail := atomic.LoadUint32(r.cqHead), atomic.LoadUint32(r.cqTail)
	for at := head; at != tail; at++ {
		answer := &r.cqes[at%uint32(len(r.cqes))]
		r.results[answer.userData%Size] = answer.result
	}
	atomic.StoreUint32(r.cqHead, tail)
	return int(tail - head)
}

// enter has the kernel make transfers. The runtime is not told of the call: it would wake its watchman
// (sysmon), who looks about fifty times in the next millisecond. Who makes many calls must let others run
// between them.
func (r *Ring) enter(submit int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// await waits for answers, for as long as the limit says.
func (r *Ring) await(answers int) {
	_, _, _ = unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 0, uintptr(answers), getEvents|extArg,
		uintptr(unsafe.Pointer(&r.wait)), unsafe.Sizeof(r.wait))
}
