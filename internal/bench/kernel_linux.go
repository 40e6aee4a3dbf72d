package bench

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// writeSockets are more than the processor's caches hold, as a fleet is: to a few that lie there, a
	// write takes half the time. It takes a fifth of a second to try them all.
	writeSockets = 2000
	writeRounds  = 7
	writeBytes   = 128
)

// writeCost is the CPU time of one write of 128 bytes to a TCP socket of this host whose peer does not
// wait for it: what no server can go below for a message to one machine, but by io_uring, which spares
// the way into the kernel. Hosts differ in it by more than in what a program's own instructions cost.
func writeCost() (time.Duration, error) {
	p, err := connectPairs(min(writeSockets, descriptors()/4))
	defer p.close()
	if err != nil {
		return 0, fmt.Errorf("measuring a write: %w", err)
	}
	runtime.LockOSThread() // the time is a thread's
	defer runtime.UnlockOSThread()
	var took []time.Duration
	for range writeRounds {
		began := threadTime()
		for _, fd := range p.near {
			if _, err := unix.Write(fd, make([]byte, writeBytes)); err != nil {
				return 0, fmt.Errorf("measuring a write: %w", err)
			}
		}
		took = append(took, (threadTime()-began)/time.Duration(len(p.near)))
		for _, fd := range p.far {
			if _, err := unix.Read(fd, make([]byte, writeBytes)); err != nil {
				return 0, fmt.Errorf("measuring a write: %w", err)
			}
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// faultPages are few enough to take no time, and enough for a mean.
const faultPages = 4096

// faultCost is the CPU time of the first touch of a page of memory. Virtual hosts differ in it by more
// than in anything else, and a server that has grown or given memory back pays it for each page.
func faultCost() (time.Duration, error) {
	room, err := unix.Mmap(-1, 0, faultPages*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, fmt.Errorf("measuring a page fault: %w", err)
	}
	defer func() { _ = unix.Munmap(room) }()
	_ = unix.Madvise(room, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses it
	runtime.LockOSThread()                       // the time is a thread's
	defer runtime.UnlockOSThread()
	began := threadTime()
	for at := 0; at < len(room); at += os.Getpagesize() {
		room[at] = 1
	}
	return (threadTime() - began) / faultPages, nil
}

// hostCost are what the host takes for what no server can do without.
type hostCost struct{ write, fault time.Duration }

func costs() (c hostCost, err error) {
	if c.write, err = writeCost(); err == nil {
		c.fault, err = faultCost()
	}
	return c, err
}

// micros is the mean of two times in microseconds, of which two digits after the point are kept.
func micros(before, after time.Duration) float64 {
	return math.Round(float64((before+after).Nanoseconds())/20) / 100
}

// threadTime is the CPU time of this thread.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it is there on every Linux
	return time.Duration(t.Nano())
}

// pairs are connections of this process with itself.
type pairs struct{ near, far []int }

func connectPairs(n int) (p pairs, err error) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, err
	}
	defer unix.Close(listener)
	err = errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(listener, n))
	if err != nil {
		return p, err
	}
	at, err := unix.Getsockname(listener)
	for i := 0; i < n && err == nil; i++ {
		err = p.connect(listener, at)
	}
	return p, err
}

func (p *pairs) connect(listener int, at unix.Sockaddr) error {
	near, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.near = append(p.near, near)
	if err := unix.Connect(near, at); err != nil {
		return err
	}
	far, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	p.far = append(p.far, far)
	return unix.SetsockoptInt(near, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func (p *pairs) close() {
	for _, fd := range append(p.near, p.far...) {
		_ = unix.Close(fd)
	}
}
