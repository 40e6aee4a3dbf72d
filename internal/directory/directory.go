// Package directory says who may connect. It has two faces: Accounts, which finds and checks the
// rows that hold API keys, and Machines, which keeps the machines that accounts have enrolled.
//
// Every answer has three values, and the zero value is Unavailable: not knowing is never read as
// absence, so a failed or empty read deletes nobody. Drivers report; the gateway decides.
package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// Verdict is what a directory knows of one thing it was asked about.
type Verdict uint8

const (
	// Unavailable means that nothing is known: the directory did not answer, or not credibly.
	Unavailable Verdict = iota
	// Found means that the row is there.
	Found
	// NotFound means that a read of the primary did not find the row.
	NotFound
	// Deleted means that a record says it was deleted: proof by itself, unlike an absence.
	Deleted
)

// String names the verdict for logs.
func (v Verdict) String() string {
	return [...]string{"unavailable", "found", "not found", "deleted"}[v]
}

// Key is an API key. It prints as ***.
type Key string

// Format hides the key from every verb of fmt.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// String hides the key.
func (Key) String() string { return "***" }

// LogValue hides the key from log handlers that encode instead of print.
func (Key) LogValue() slog.Value { return slog.StringValue("***") }

// Digest is the SHA-256 of an API key.
type Digest [sha256.Size]byte

// Digest is what directories keep and compare instead of the key.
func (k Key) Digest() Digest { return sha256.Sum256([]byte(k)) }

// Equal compares in constant time.
func (d Digest) Equal(e Digest) bool { return subtle.ConstantTimeCompare(d[:], e[:]) == 1 }

// Account is a row that holds an API key.
type Account struct {
	ID        string
	Name      string
	CreatedAt time.Time
	// Digests are those of the keys that open the account now: one, or more during a rotation's
	// grace. The newest key's is the first.
	Digests []Digest
}

// Opens tells whether a key with digest d opens the account now.
func (a Account) Opens(d Digest) bool {
	return slices.ContainsFunc(a.Digests, d.Equal)
}

// AccountAnswer is the answer for one key or id.
type AccountAnswer struct {
	Verdict Verdict
	Account Account
}

// Accounts finds and checks accounts.
type Accounts interface {
	// Lookup answers for each key, in order.
	Lookup(ctx context.Context, keys []Key) []AccountAnswer
	// Check answers for each account id, in order, from the primary.
	Check(ctx context.Context, ids []string) []AccountAnswer
	// Watch calls report for every change until ctx ends, in order and never twice at once. Each
	// time changes begin to flow (again), it reports Live first: what happened before is not
	// reported and must be found by a Check.
	Watch(ctx context.Context, report func(Event)) error
}

// MachineInfo is what a machine says of itself.
type MachineInfo = wire.MachineInfo

// Machine is one enrolled installation.
type Machine struct {
	ID        string
	AccountID string
	// Default marks the account's one machine for clients that send nothing but a key.
	Default    bool
	Name       string
	Info       MachineInfo
	EnrolledAt time.Time
	LastSeenAt time.Time
	// DeletedAt is zero while the machine exists.
	DeletedAt time.Time
}

// Enrolment asks for a machine of an account.
type Enrolment struct {
	AccountID string
	// Digest is that of the key the machine came with: a deleted machine stays deleted as long as
	// it comes with the key it was deleted under.
	Digest Digest
	// MachineID is known from before; one that this installation did not issue, or that belongs to
	// another account, counts as not sent.
	MachineID string
	// Info with a HWID asks for the machine of that hwid; nil asks for the default machine.
	Info *MachineInfo
}

// MachineAnswer is the answer for one enrolment or id. Machine is set when Found or Deleted.
// Unavailable is also the answer to an enrolment that there is no room for.
type MachineAnswer struct {
	Verdict Verdict
	Machine Machine
	// New tells that this enrolment has made the machine.
	New bool
}

// Seen is news of a machine: when it was last connected, whether it is now and, if it sent any, its
// info.
type Seen struct {
	MachineID string
	At        time.Time
	Online    bool
	Info      *MachineInfo
}

// Machines keeps enrolled machines, for the gateway.
type Machines interface {
	// Enrol finds or makes the machine of each enrolment, in order.
	Enrol(ctx context.Context, e []Enrolment) []MachineAnswer
	// Check answers for each machine id, in order, from the primary.
	Check(ctx context.Context, ids []string) []MachineAnswer
	// Seen stores news of machines. It is best effort and never decides anything.
	Seen(ctx context.Context, news []Seen) error
	// DeleteAll deletes every machine of an account that was deleted elsewhere, so that each of them
	// is told so whenever it comes back. Doing it again finishes what was cut short.
	DeleteAll(ctx context.Context, accountID string) error
	// Watch is as in Accounts.
	Watch(ctx context.Context, report func(Event)) error
}

// MachineFilter chooses machines for a list, in order of id.
type MachineFilter struct {
	AccountID string // empty: of all accounts
	After     string // machines with a greater id
	Limit     int    // at most; 0: 100
	// Deleted chooses the deleted machines instead of those that exist.
	Deleted bool
}

// MachineAdmin is the operators' side of a Machines driver.
type MachineAdmin interface {
	List(ctx context.Context, f MachineFilter) ([]Machine, error)
	// Delete deletes for good; ErrNotFound if there is no such machine, nil if it was deleted before.
	// After ErrUnavailable it may have been deleted or not: do it again.
	Delete(ctx context.Context, id string) error
	// Readmit takes a deletion back; nil if the machine was not deleted, ErrReplaced if another has
	// been enrolled in its place since.
	Readmit(ctx context.Context, id string) error
}

// AccountAdmin is the operators' side of an Accounts driver that owns its accounts.
type AccountAdmin interface {
	Add(ctx context.Context, name string) (Account, Key, error)
	// ListAccounts returns accounts in order of id.
	ListAccounts(ctx context.Context) ([]Account, error)
	// DeleteAccount deletes the account and every machine it has. Doing it again finishes what was
	// cut short.
	DeleteAccount(ctx context.Context, id string) error
	// Rotate gives the account a new key; those before go on working for grace at most. Without
	// grace they end at once.
	Rotate(ctx context.Context, id string, grace time.Duration) (Key, error)
}

// EventKind is what an Event reports.
type EventKind uint8

const (
	// Live: changes flow from now on; those before must be found by a Check.
	Live EventKind = iota + 1
	// Lost: changes do not flow, because of Err; a Check is all there is until the next Live.
	Lost
	// Gone: the thing with this ID was deleted.
	Gone
	// Changed: the thing with this ID is not what it was; an account may have another key.
	Changed
)

// Event is one report of a Watch.
type Event struct {
	Kind EventKind
	ID   string
	// Asked marks a deletion that was asked for through this installation's own operators' side.
	// Others may be somebody's mistake, and too many of them at once are held.
	Asked bool
	// Proven marks a deletion whose record the primary has taken from this very process, and which is
	// not known to have been taken back: another read would tell nothing more.
	Proven bool
	// Err says why changes were Lost.
	Err error
}

// Errors of the operators' side.
var (
	ErrNotFound         = errors.New("no such row")
	ErrUnavailable      = errors.New("the directory does not answer")
	ErrManagedElsewhere = errors.New("accounts are managed elsewhere")
	ErrReplaced         = errors.New("another machine has been enrolled in its place")
	// ErrFull refuses what is new; deletions go on.
	ErrFull = errors.New("the directory's store is full")
)

// Elsewhere is ErrManagedElsewhere with the statement that does what was asked for.
type Elsewhere struct{ Statement string }

func (e Elsewhere) Error() string { return ErrManagedElsewhere.Error() }

// Is makes it an ErrManagedElsewhere.
func (e Elsewhere) Is(target error) bool { return target == ErrManagedElsewhere }

// Hint tells people the statement.
func (e Elsewhere) Hint() string { return "Run this in the database: " + e.Statement }
