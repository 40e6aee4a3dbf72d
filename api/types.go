package api

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Limits of requests.
const (
	// MaxName is the longest account name, in bytes.
	MaxName = 128
	// MaxMessageID is the longest message id, in bytes.
	MaxMessageID = 256
	// MaxGraceSeconds is the longest time an old key may go on working: 30 days.
	MaxGraceSeconds = 30 * 24 * 3600
	// MaxTTLSeconds is the longest life a message may ask for: one year.
	MaxTTLSeconds = 365 * 24 * 3600
	// MaxPage is the most items one page may have.
	MaxPage = 1000
	// DefaultPage is how many items a page has when nobody asks.
	DefaultPage = 100
)

// Key is an API key. It prints as ***; JSON carries it in the clear.
type Key string

// Format hides the key from every verb of fmt.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// LogValue hides the key from structured logs, which would write it as JSON.
func (Key) LogValue() slog.Value { return slog.StringValue("***") }

// NewAccount asks for an account.
type NewAccount struct {
	Name string `json:"name,omitempty" doc:"A name for people; at most 128 bytes."`
}

// AccountKey is an account with the key that opens it. The key is shown once and kept nowhere.
type AccountKey struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	APIKey Key    `json:"apiKey" doc:"Shown once: it is stored only as a digest."`
}

// Account owns machines.
type Account struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// AccountList is every account.
type AccountList struct {
	Accounts []Account `json:"accounts"`
}

// RotateKey asks for a new key.
type RotateKey struct {
	GraceSeconds int64 `json:"graceSeconds,omitempty" doc:"How long the old key goes on working; 0 ends it, and its sessions, at once."`
}

// Scope is what a token may be used for.
type Scope string

// The scopes there are.
const (
	// ScopePublish publishes messages.
	ScopePublish Scope = "publish"
	// ScopeRead reads everything that is no secret.
	ScopeRead Scope = "read"
	// ScopeAdmin does everything; it includes the others.
	ScopeAdmin Scope = "admin"
)

// NewToken asks for a token.
type NewToken struct {
	Name   string  `json:"name,omitempty" doc:"A name for people, which no other token has; at most 128 bytes."`
	Scopes []Scope `json:"scopes" enum:"publish,read,admin" doc:"What it may be used for; admin includes the others."`
}

// Token opens the operators' API as far as its scopes go.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name,omitempty"`
	Scopes     []Scope   `json:"scopes"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero" doc:"To the minute; absent if it was not used yet."`
}

// TokenKey is a token with the secret that is to be sent.
type TokenKey struct {
	Token
	Secret Key `json:"token" doc:"Shown once: it is stored only as a digest."`
}

// TokenList is every token but the one in the gateway's settings or data folder, which is the root.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// Machine is one enrolled installation.
type Machine struct {
	ID         string    `json:"id"`
	AccountID  string    `json:"accountId"`
	Name       string    `json:"name,omitempty"`
	Default    bool      `json:"default" doc:"The account's one machine for clients that send nothing but a key."`
	Online     bool      `json:"online"`
	Sessions   int       `json:"sessions" doc:"How many sessions it has now."`
	Hostname   string    `json:"hostname,omitempty"`
	OS         string    `json:"os,omitempty"`
	Arch       string    `json:"arch,omitempty"`
	CPUCores   uint64    `json:"cpuCores,omitempty"`
	RAMBytes   uint64    `json:"ramBytes,omitempty"`
	HWID       string    `json:"hwid,omitempty"`
	Version    string    `json:"version,omitempty"`
	EnrolledAt time.Time `json:"enrolledAt,omitzero"`
	LastSeenAt time.Time `json:"lastSeenAt,omitzero"`
	Why        *Why      `json:"why,omitempty" doc:"Only in the answer for one machine, and absent while the log does not answer; /why has it for deleted machines too."`
}

// MachinePage is one page of machines, in order of id.
type MachinePage struct {
	Machines []Machine `json:"machines"`
	Next     string    `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one. A page may be shorter than asked and still have a next one."`
}

// EventType is what happened.
type EventType string

// The types of events; more may come.
const (
	MachineEnrolled     EventType = "machine.enrolled"
	MachineConnected    EventType = "machine.connected"
	MachineDisconnected EventType = "machine.disconnected"
	MachineDeleted      EventType = "machine.deleted"
	// MachineCloneSuspected: two live sessions of one machine come from different boots.
	MachineCloneSuspected EventType = "machine.clone_suspected"
	// EventsLost says that events are missing here.
	EventsLost EventType = "events.lost"
)

// Event is something that happened to a machine.
type Event struct {
	// ID is where to go on after this event; empty in one that is not stored.
	ID        string    `json:"id,omitempty"`
	Type      EventType `json:"type"`
	Time      time.Time `json:"time"`
	Node      string    `json:"node,omitempty" doc:"The gateway process that tells it."`
	MachineID string    `json:"machineId,omitempty"`
	AccountID string    `json:"accountId,omitempty"`
	SessionID string    `json:"sessionId,omitempty"`
	Address   string    `json:"address,omitempty" doc:"Where the machine connects from, as far as trusted proxies tell."`
	Code      int       `json:"code,omitempty" doc:"Of a disconnection: the close code; 1006 if there was none."`
	Reason    string    `json:"reason,omitempty"`
	Position  uint64    `json:"position,omitempty" doc:"Of a disconnection: everything for the machine up to here had been handed to its socket."`
	Lost      uint64    `json:"lost,omitempty" doc:"How many events are missing, at least."`
}

// Standing is how a machine stands with the gateway.
type Standing string

// The values of Standing.
const (
	StandingOnline  Standing = "online"
	StandingOffline Standing = "offline"
	// StandingHeld: its deletion, or its account's, waits for proof or for an operator.
	StandingHeld    Standing = "held"
	StandingDeleted Standing = "deleted"
)

// Why says how a machine stands, and how that came about.
type Why struct {
	MachineID string   `json:"machineId"`
	AccountID string   `json:"accountId"`
	Standing  Standing `json:"standing" enum:"online,offline,held,deleted"`
	Because   string   `json:"because" doc:"The same in a sentence, for people."`
	// DeletedAt is zero while the machine exists.
	DeletedAt      time.Time     `json:"deletedAt,omitzero"`
	Held           *HeldDeletion `json:"held,omitempty"`
	CloneSuspected bool          `json:"cloneSuspected" doc:"It is here twice, from different boots."`
	Sessions       []LiveSession `json:"sessions" doc:"Those on this node, the oldest first."`
	Ends           []SessionEnd  `json:"ends" doc:"Its last sessions that ended, at most ten, the newest first."`
	KeptSince      time.Time     `json:"keptSince,omitzero" doc:"Ends before this time are not known any more."`
	LastSeenAt     time.Time     `json:"lastSeenAt,omitzero"`
	Position       uint64        `json:"position,omitempty" doc:"Everything for it up to here has been handed to a socket of its; absent if that is not known."`
	Waiting        int           `json:"waiting" doc:"How many stored messages lie behind that position."`
	MoreWaiting    bool          `json:"moreWaiting" doc:"There are more than were counted."`
}

// LiveSession is one live connection of a machine.
type LiveSession struct {
	ID       string    `json:"id"`
	Node     string    `json:"node"`
	Address  string    `json:"address,omitempty"`
	Since    time.Time `json:"since"`
	Position uint64    `json:"position"`
	Behind   bool      `json:"behind" doc:"It reads what it has missed, or does not take what it is sent."`
	Bare     bool      `json:"bare" doc:"The client announced no version of the protocol."`
}

// SessionEnd is how a session ended.
type SessionEnd struct {
	Time      time.Time `json:"time"`
	SessionID string    `json:"sessionId"`
	Node      string    `json:"node"`
	Address   string    `json:"address,omitempty"`
	Code      int       `json:"code" doc:"The close code; 1006 if there was none."`
	Reason    string    `json:"reason,omitempty"`
	Position  uint64    `json:"position,omitempty"`
}

// Presence chooses machines by whether they are online.
type Presence string

// The values of Presence; the zero value takes both.
const (
	Online  Presence = "true"
	Offline Presence = "false"
)

// MachineQuery chooses machines for a list.
type MachineQuery struct {
	Presence Presence
	Account  string // empty: of all accounts
	Search   string // in id, name, host name or hardware id; empty: all
	Cursor   string // MachinePage.Next of the page before
	Limit    int    // 0: DefaultPage
}

// Target says for whom a message is. Exactly one field is set.
type Target struct {
	Machine string `json:"machine,omitempty" doc:"The id of one machine."`
	Account string `json:"account,omitempty" doc:"The id of an account: all its machines."`
	All     bool   `json:"all,omitempty" doc:"All machines there are."`
}

// Mode says what happens to a message for machines that are not there to take it.
type Mode string

// The values of Mode; the zero value is Stored.
const (
	// Stored messages are kept, numbered, and handed over when the machine comes back.
	Stored Mode = "stored"
	// Live messages reach the machines that are there now, and are not kept.
	Live Mode = "live"
)

// Message is data for machines.
type Message struct {
	To Target `json:"to"`
	// Data is any JSON value; machines get these very bytes.
	Data       json.RawMessage `json:"data" doc:"Any JSON value."`
	ID         string          `json:"id,omitempty" doc:"Publishing the same id again within 10 minutes stores nothing and answers as the first time; at most 256 bytes."`
	Mode       Mode            `json:"mode,omitempty" enum:"stored,live" doc:"stored unless said otherwise."`
	TTLSeconds int64           `json:"ttlSeconds,omitempty" doc:"Forget the message after this time; only for stored messages."`
}

// Receipt says where a message lies in the log. A live message has no position.
type Receipt struct {
	ID        string `json:"id,omitempty" doc:"The publisher's id, or one made for the message."`
	Epoch     string `json:"epoch,omitempty" doc:"The life of the log that seq counts in."`
	Seq       uint64 `json:"seq,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty" doc:"A message with this id was stored before; this is its position."`
}

// Result answers one line of a stream: a receipt, or an error with the number of the line.
type Result struct {
	Receipt
	Line  int        `json:"line,omitempty" doc:"The number of the refused line; the first is 1."`
	Error *LineError `json:"error,omitempty"`
}

// LineError is an Error without what is the same for a whole stream.
type LineError struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// HeldDeletion is a deletion that looks like a mistake or is not proved: whoever it concerns is told to
// come back and keep the key, until the row is there again, a credible read misses it, or an operator
// confirms.
type HeldDeletion struct {
	Kind  string    `json:"kind" enum:"account,machine"`
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// HeldDeletions is every deletion that is held, the oldest first.
type HeldDeletions struct {
	Held []HeldDeletion `json:"held"`
}

// ConfirmDeletions says that held deletions are meant. Exactly one field is set.
type ConfirmDeletions struct {
	ID  string `json:"id,omitempty" doc:"The id of one account or machine."`
	All bool   `json:"all,omitempty" doc:"All that are held."`
}

// ConfirmedDeletions counts what became of them. Each row was read once more.
type ConfirmedDeletions struct {
	Deleted     int `json:"deleted" doc:"Told, now or when they come back."`
	Present     int `json:"present" doc:"There again: nothing was deleted."`
	Unavailable int `json:"unavailable" doc:"Could not be read, and stay held."`
}

// Readiness is what a gateway says that should be given work.
type Readiness struct {
	Status    string          `json:"status"`
	Directory DirectoryHealth `json:"directory"`
}

// DirectoryHealth says for each face of the directory how its deletions are noticed: "live", or
// "polling, because ...".
type DirectoryHealth struct {
	Accounts string `json:"accounts"`
	Machines string `json:"machines"`
}

// StoredMessage is a message as the log keeps it.
type StoredMessage struct {
	Seq  uint64          `json:"seq"`
	ID   string          `json:"id,omitempty"`
	To   Target          `json:"to"`
	Data json.RawMessage `json:"data"`
}

// History is a part of what the log keeps for one machine, in order.
type History struct {
	Epoch    string          `json:"epoch" doc:"The life of the log that the positions count in."`
	Messages []StoredMessage `json:"messages"`
	Next     uint64          `json:"next,omitempty" doc:"Ask again after this position for what follows; absent when this was all."`
}

// Stats is what goes on on one node.
type Stats struct {
	Time           time.Time `json:"time"`
	MachinesOnline int       `json:"machinesOnline"`
	EverySeconds   int       `json:"everySeconds" doc:"The time between two samples."`
	Samples        []Sample  `json:"samples" doc:"The last hour, as far as the node has been up; the oldest comes first."`
}

// Sample is one moment of a node.
type Sample struct {
	Time              time.Time `json:"time"`
	MachinesOnline    int       `json:"machinesOnline"`
	MessagesPerSecond float64   `json:"messagesPerSecond" doc:"Messages handed to sockets since the sample before."`
	AuthsPerSecond    float64   `json:"authsPerSecond" doc:"Machines let in since the sample before."`
}
