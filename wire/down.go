package wire

import (
	"encoding/json"
	"time"
)

// Down is a frame from gateway to machine: one of AuthSuccess, AuthFailed, Ping, Data, Gap, Token,
// MachineDeleted, Error and UnknownDown.
type Down interface{ down() }

// AuthSuccess is the first frame after a good auth. Welcome is nil for clients that announced no
// version: they are sent the fixed block and nothing else.
type AuthSuccess struct {
	SessionToken string `json:"sessionToken"`
	Message      string `json:"message"`
	*Welcome
}

// Welcome is what auth_success adds for clients that announced a version.
type Welcome struct {
	MachineID        string    `json:"machineId"`
	SessionID        string    `json:"sessionId"`
	ExpiresAt        time.Time `json:"expiresAt"`
	HeartbeatSeconds float64   `json:"heartbeatSeconds"`
	Seq              uint64    `json:"seq"`
	Epoch            string    `json:"epoch"`
	Recovered        bool      `json:"recovered"`
	Acked            string    `json:"acked,omitempty"`
}

// AuthFailed refuses. Code and RetryAfterMs are left out for clients that announced no version.
type AuthFailed struct {
	Message      string `json:"message"`
	Code         Code   `json:"code,omitempty"`
	RetryAfterMs int64  `json:"retryAfterMs,omitempty"`
}

// Error reports a problem that does not refuse the machine itself.
type Error struct {
	Message      string `json:"message"`
	Code         Code   `json:"code,omitempty"`
	RetryAfterMs int64  `json:"retryAfterMs,omitempty"`
}

// Ping asks for a pong. Seq, if sent, says that everything up to it has been handed over.
type Ping struct {
	Seq *uint64 `json:"seq,omitempty"`
}

// Data is a message. Seq is 0 for a live-only message; ID is the publisher's, if it gave one.
type Data struct {
	Seq  uint64          `json:"seq,omitempty"`
	ID   string          `json:"id,omitempty"`
	Data json.RawMessage `json:"data"`
}

// Gap tells that messages after the client's position, up to and including Seq, may be gone.
type Gap struct {
	Seq uint64 `json:"seq"`
}

// Token carries a fresh session token.
type Token struct {
	SessionToken string    `json:"sessionToken"`
	ExpiresAt    time.Time `json:"expiresAt"`
}

// MachineDeleted is the verdict: the machine is gone for good.
type MachineDeleted struct {
	Message string `json:"message"`
}

// UnknownDown is a frame of a type that this version does not know. It is skipped.
type UnknownDown struct{}

func (AuthSuccess) down()    {}
func (AuthFailed) down()     {}
func (Error) down()          {}
func (Ping) down()           {}
func (Data) down()           {}
func (Gap) down()            {}
func (Token) down()          {}
func (MachineDeleted) down() {}
func (UnknownDown) down()    {}
