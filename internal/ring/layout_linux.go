package ring

import "unsafe"

// The types of this file are io_uring's interface (linux/io_uring.h). They are laid out alike on all
// architectures.

// params is what the kernel tells of a ring that it has made.
type params struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle uint32
	features                                           uint32
	_                                                  [4]uint32
	sq                                                 sqOffsets
	cq                                                 cqOffsets
}

// sqOffsets are where the queue of calls lies in the shared memory.
type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array uint32
	_                                                [3]uint32
}

// cqOffsets are where the queue of answers lies.
type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags uint32
	_                                                [3]uint32
}

// sqe is a call: here, one for a socket.
type sqe struct {
	op       uint8
	_        uint8
	more     uint16 // what flags has no room for
	fd       int32
	addr2    uint64
	addr     uint64
	size     uint32
	flags    uint32
	userData uint64
	_        [3]uint64
}

// cqe is an answer.
type cqe struct {
	userData uint64
	result   int32
	_        uint32
}

// waitLimit bounds a wait for answers.
type waitLimit struct {
	_     [2]uint64
	limit uint64 // the address of two int64: seconds and nanoseconds
}

const (
	offSQEs   = 0x1000_0000
	getEvents = 1 << 0
	extArg    = 1 << 3
	// needed came by Linux 5.12: one memory for both queues, no answer is dropped, waits can be
	// bounded, workers are threads of the process.
	needed = 1<<0 | 1<<1 | 1<<8 | 1<<9

	sqeSize = uint32(unsafe.Sizeof(sqe{}))
	cqeSize = uint32(unsafe.Sizeof(cqe{}))
)
