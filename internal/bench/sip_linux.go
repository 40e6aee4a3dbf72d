package bench

import (
	"github.com/fleetline/fleetline/internal/ring"
	"golang.org/x/sys/unix"
)

const (
	// sipSize is what is read of a machine together with others.
	sipSize = 8 << 10
	// fewestSips is how many machines must have something for one call to be less than a call for each.
	fewestSips = 3
)

// sips reads for many machines with one system call, where the system has io_uring: a call for each
// would cost the load more than a server that writes to many at once.
type sips struct {
	ring *ring.Ring // nil: machines read one by one
	of   []*machine // who has something to read
	buf  [ring.Size][sipSize]byte
}

// canSip tells that a live machine has something to read and nothing else has happened.
func canSip(m *machine, events uint32) bool {
	return m.stage == live && !m.stalled && m.part == nil && events&unix.EPOLLIN != 0 && events&^(unix.EPOLLIN|unix.EPOLLOUT) == 0
}

// sip has m read with others. Nobody may be dropped before sipAll.
func (w *worker) sip(m *machine) {
	w.sips.of = append(w.sips.of, m)
	if len(w.sips.of) == ring.Size {
		w.sipAll()
	}
}

func (w *worker) sipAll() {
	s := &w.sips
	defer func() { s.of = s.of[:0] }()
	if s.ring == nil || len(s.of) < fewestSips {
		for _, m := range s.of {
			w.read(m)
		}
		return
	}
	for i, m := range s.of {
		s.ring.Load(ring.Recv, m.fd, s.buf[i][:])
	}
	r := s.ring
	if r.Fire() != nil {
		s.ring = nil // and stays open: the kernel may not be done with it
	}
	for i, m := range s.of {
		w.sipped(m, s.buf[i][:], r.Result(i))
	}
}

// sipped takes the result of a read. Whoever had more than a part, or had it doubtful, reads by itself.
func (w *worker) sipped(m *machine, part []byte, result int32) {
	if result <= 0 {
		w.read(m) // it finds out
		return
	}
	w.feed(m, part[:result])
	if int(result) == len(part) {
		w.read(m)
	}
}
