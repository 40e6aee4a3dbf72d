package broker

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// Target is whom a message is for: a machine, an account's machines or, when zero, all. In Recent
// and Read it names one session's machine and account and means everything for that session.
type Target struct{ Machine, Account string }

// Message is what a publisher hands over.
type Message struct {
	Target Target
	// Data is valid JSON; the caller has checked it.
	Data json.RawMessage
	// ID is the publisher's own and makes the publish idempotent for each target; it may be empty.
	ID string
	// TTL removes the message after this time, rounded up to seconds; 0 keeps it for the log's age.
	TTL time.Duration
}

// Receipt says where a message stands. A live-only message has Seq 0.
type Receipt struct {
	// ID is the publisher's, or made from the position if it gave none.
	ID    string
	Epoch string
	Seq   uint64
	// Duplicate tells that the id had been published to this target before; Seq is that message's.
	Duplicate bool
}

// Errors of this package. Callers compare with errors.Is.
var (
	// ErrFull refuses a message because the log is full; nothing was stored.
	ErrFull = errors.New("the log is full")
	// ErrUnavailable means that the log did not answer. A message may have been stored or not:
	// publishing it again with the same ID is safe.
	ErrUnavailable = errors.New("the log does not answer")
	// ErrTooLarge refuses a message whose data, ID or target is longer than allowed.
	ErrTooLarge = errors.New("the message is too large")
	// ErrTarget refuses a target that names a machine and an account at once.
	ErrTarget = errors.New("a message is for a machine, an account or all, not for two of them")
	// ErrLocked means that another process works in this data folder.
	ErrLocked = errors.New("the data folder is in use by another process")
	// ErrClosed means that the broker has been closed.
	ErrClosed = errors.New("the log is closed")
	// ErrInvalid means that a revocation can never be kept.
	ErrInvalid = errors.New("it is no revocation")
)

// maxID bounds a publisher's id and the ids in a target, in bytes.
const maxID = wire.MaxField

func (m Message) check(maxData int) error {
	switch {
	case m.Target.Machine != "" && m.Target.Account != "":
		return ErrTarget
	case len(m.Data) > maxData, len(m.ID) > maxID, len(m.Target.Machine) > maxID, len(m.Target.Account) > maxID:
		return ErrTooLarge
	}
	return nil
}
