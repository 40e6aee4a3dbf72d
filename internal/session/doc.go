// Package session keeps the live sessions of this node: one Session per socket of a machine, and the
// Hub of all of them. It hands over messages, brings back sessions that fell behind, beats their
// hearts and ends them by name.
//
// # Delivery
//
// A session's delivery state is its position (everything for it up to there has been handed to its
// socket) and whether it is behind. The log's tail calls Hub.Deliver for each message in order. The
// hub serves the sessions in rounds: it moves its begun position, looks for the sessions of all that
// waited for the round, hands each its messages in one write, and moves its finished position. What
// comes meanwhile waits for the next round. A live session whose socket does not take a frame goes
// behind and keeps nothing but its position; when the socket drains it reads forward, from the log's
// window in memory if that reaches back, else from the log. The last step is always from the window
// under the session's lock, and then it is live.
//
// Every session starts behind. So a first connect, a reconnect, a slow machine and a stopped one are
// the same case: no queue per session, bounded memory, in order, nothing lost, nothing twice.
//
// # Memory
//
// A session is a record at the place of its socket, without a pointer and without a byte more than it
// needs: a million of them are nothing to the garbage collector. Places are used again. So nobody
// outside the package ever has a record: a Session is a name for one, which finds nothing when the
// session has left. What few sessions have lies beside the records: names that are too long for them,
// and reasons of ends.
//
// The package knows no broker, no directory and no token. It declares the one thing it needs of the
// log, Log, and spends no goroutine, timer or buffer on a session.
package session

import (
	"context"

	"github.com/fleetline/fleetline/internal/socket"
)

// Target is whom a message is for: a machine, an account's machines or, when zero, all.
type Target struct{ Machine, Account string }

// Message is one message, prepared once for all its receivers.
type Message interface {
	// Position is the message's place in the log; 0 for a live-only message.
	Position() uint64
	// Frame is the message as a frame; bare is the form for clients that announced no version.
	Frame(bare bool) socket.Prepared
}

// Log is what a session that is behind reads from. Its Target names both machine and account, and
// means every message for the machine, for the account and for all.
type Log interface {
	// Recent appends to dst the messages after a position that are held in memory, in order, until
	// about maxBytes are found. Everything up to reached is then covered; ok is false if memory does
	// not reach back to after. It does not block.
	Recent(dst []Message, to Target, after uint64, maxBytes int) (msgs []Message, reached uint64, ok bool)
	// Read reads the log itself for many sessions at once, one result per request in order. It may
	// take its time.
	Read(ctx context.Context, reqs []Request) []Result
}

// Request asks for the messages of one session after a position.
type Request struct {
	To       Target
	After    uint64
	MaxBytes int
}

// Result answers a Request: Messages cover everything up to Reached. If history after the position
// asked from is gone, Gap is the position up to which it is; else 0.
type Result struct {
	Messages []Message
	Reached  uint64
	Gap      uint64
	Err      error
}
