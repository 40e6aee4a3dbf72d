package fleetline

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// State is what a machine keeps between two runs.
type State struct {
	// APIKey is used when Config names none. A Client never stores a key by itself, but wipes this
	// one when the machine is deleted.
	APIKey string `json:"apiKey,omitempty"`
	// HWID is the random id that makes enrolment idempotent.
	HWID string `json:"hwid,omitempty"`
	// MachineID is the id the gateway gave.
	MachineID string `json:"machineId,omitempty"`
	// Position is behind the last message that was processed.
	Position Position `json:"position,omitzero"`
	// DeletedWith is the SHA-256, in hex, of the key this machine was deleted with.
	DeletedWith string `json:"deletedWith,omitempty"`
}

// String keeps the key out of whatever prints a State.
func (s State) String() string { return "state of machine " + s.MachineID + " ***" }

// GoString does the same for %#v.
func (s State) GoString() string { return s.String() }

// StateStore keeps a State. A Client never calls two methods at once. FileState and MemoryState
// are two.
type StateStore interface {
	// Load returns what was saved last; the zero State if there was nothing.
	Load() (State, error)
	// Save replaces what was saved before, as a whole: what s does not hold must be gone. When the
	// machine was deleted, that is everything but HWID and DeletedWith.
	Save(s State) error
}

// MemoryState keeps a State as long as the process lives. The zero value is ready.
type MemoryState struct {
	mu    sync.Mutex
	state State
}

// Load returns what was saved last.
func (m *MemoryState) Load() (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, nil
}

// Save replaces what was saved before.
func (m *MemoryState) Save(s State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
	return nil
}

func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
