package broker

import (
	"context"
	"sync"
)

// space keeps publishers out of the room that is reserved for leases and revocations. The stream's
// own bound cannot: it does not know who publishes. Between two measurements it counts for itself,
// and it counts a message from before it is sent, so the reserve is never touched.
type space struct {
	limit int64

	mu sync.Mutex
	// Guarded by mu. stored is what was measured when acked had reached mark.
	stored, mark    int64
	acked, inflight int64
	refused         bool
}

// recordOverhead is what JetStream adds to subject, header and data of a record.
const recordOverhead = 34

// take makes room for n bytes; false if there is none.
func (s *space) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = s.usedLocked()+n > s.limit
	if !s.refused {
		s.inflight += n
	}
	return !s.refused
}

// settle ends a take; stored tells whether the bytes are in the log now.
func (s *space) settle(n int64, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inflight -= n
	if stored {
		s.acked += n
	}
}

// wrote counts bytes that were written without a take.
func (s *space) wrote(n int64, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored {
		s.acked += n
	}
}

func (s *space) usedLocked() int64 { return s.stored + s.acked - s.mark + s.inflight }

func (s *space) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// measure looks what the log holds.
func (s *space) measure(ctx context.Context, l *lives) error {
	mark := s.begin()
	if err := l.measure(ctx); err != nil {
		return err
	}
	s.measured(l.kept.Load().bytes, mark)
	return nil
}

// begin is called before the store is measured and measured after it: what was acknowledged before
// is in the measurement, and what came since is counted on top.
func (s *space) begin() (mark int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

func (s *space) measured(bytes, mark int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.mark = bytes, mark
	// A publisher asks again with the least it may have; until then a log with room is not full.
	s.refused = s.refused && s.usedLocked()+fullRoom > s.limit
}

// fullRoom is how much room makes a log that refused a message count as no longer full.
const fullRoom = 64 << 10
