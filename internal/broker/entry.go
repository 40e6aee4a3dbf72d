package broker

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// Kind is what an Entry is.
type Kind uint8

const (
	// Data is a message for machines.
	Data Kind = iota + 1
	// Revoked carries a Revocation.
	Revoked
	// Beat is a node's lease.
	Beat
	// Break says that the tail cannot vouch for what lies between the entry before and Seq: a new
	// life of the log began there, or the tail was away for longer than the log keeps. Sessions
	// must come back and ask with their own position.
	Break
)

// Entry is one entry of the log, or a live-only message.
type Entry struct {
	// Fixed after construction.
	Kind   Kind
	Seq    uint64 // 0 for a live-only message
	Target Target
	// ID is the publisher's; empty if it gave none.
	ID string
	// At is when the log took the entry; zero for a live-only message.
	At time.Time
	// Revocation is set for Revoked, Lease for Beat.
	Revocation *Revocation
	Lease      *Lease
	expires    time.Time // zero: never
	frame      socket.Prepared
	dataLen    int

	// bare is made when it is first needed.
	bare atomic.Pointer[socket.Prepared]

	mu sync.Mutex
	// charged is where the bare frame's bytes are counted while the window holds the entry; guarded
	// by mu.
	charged *atomic.Int64
}

// Position is the entry's place in the log; 0 for a live-only message.
func (e *Entry) Position() uint64 { return e.Seq }

// Frame is the message as a prepared frame. The bare form has nothing but the data, for clients that
// know only that; it is made once, when it is first asked for.
func (e *Entry) Frame(bare bool) socket.Prepared {
	if !bare {
		return e.frame
	}
	if p := e.bare.Load(); p != nil {
		return *p
	}
	return e.makeBare()
}

func (e *Entry) makeBare() socket.Prepared {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.bare.Load(); p != nil {
		return *p
	}
	p := socket.Prepare(wire.AppendData(make([]byte, 0, e.dataLen+32), 0, "", e.Data()))
	e.bare.Store(&p)
	if e.charged != nil {
		e.charged.Add(int64(len(p)))
	}
	return p
}

// charge counts the entry's bare frame, now or when it is made, until release.
func (e *Entry) charge(to *atomic.Int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.charged = to
	if p := e.bare.Load(); p != nil {
		to.Add(int64(len(*p)))
	}
}

func (e *Entry) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.bare.Load(); p != nil && e.charged != nil {
		e.charged.Add(-int64(len(*p)))
	}
	e.charged = nil
}

// Data is the publisher's JSON. It is shared and must not be changed.
func (e *Entry) Data() json.RawMessage {
	end := len(e.frame) - len("}")
	return json.RawMessage(e.frame[end-e.dataLen : end])
}

// Expired tells whether the message's TTL has passed.
func (e *Entry) Expired(now time.Time) bool { return !e.expires.IsZero() && !now.Before(e.expires) }

// entryOverhead is about what an entry costs beside its frame.
const entryOverhead = 256

func (e *Entry) size() int { return len(e.frame) + entryOverhead }

func newData(raw record, target Target) *Entry {
	e := &Entry{
		Kind:    Data,
		Seq:     raw.seq,
		Target:  target,
		ID:      raw.id,
		At:      raw.at,
		dataLen: len(raw.data),
	}
	if raw.ttl > 0 {
		e.expires = raw.at.Add(raw.ttl)
	}
	payload := make([]byte, 0, len(raw.data)+len(raw.id)+64)
	e.frame = socket.Prepare(wire.AppendData(payload, raw.seq, raw.id, raw.data))
	return e
}

// record is one raw entry as JetStream hands it over.
type record struct {
	subject string
	seq     uint64
	at      time.Time
	id      string
	ttl     time.Duration
	data    []byte
}

// decode makes an entry of a record of the life with this epoch. An entry of a kind that this
// version does not know is nil without an error: its position counts, and nothing else.
func decode(r record, epoch string) (*Entry, error) {
	of, what, ok := parseSubject(r.subject)
	if !ok || of != epoch {
		return nil, fmt.Errorf("decoding entry %d: its subject is not of this life of the log", r.seq)
	}
	if t, ok := parseTarget(what); ok {
		return newData(r, t), nil
	}
	e := &Entry{Seq: r.seq, At: r.at}
	switch {
	case what == suffixRevoke:
		e.Kind, e.Revocation = Revoked, new(Revocation)
		if err := json.Unmarshal(r.data, e.Revocation); err != nil {
			return nil, fmt.Errorf("decoding revocation %d: %w", r.seq, err)
		}
	case len(what) > len(prefixLease) && what[:len(prefixLease)] == prefixLease:
		e.Kind, e.Lease = Beat, new(Lease)
		if err := json.Unmarshal(r.data, e.Lease); err != nil {
			return nil, fmt.Errorf("decoding lease %d: %w", r.seq, err)
		}
	default:
		return nil, nil
	}
	return e, nil
}
