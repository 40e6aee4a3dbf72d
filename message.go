package fleetline

import "encoding/json"

// Position is a place in the gateway's log: a number within one life of the log. The zero Position
// is no place.
type Position struct {
	Epoch string `json:"epoch,omitempty"`
	Seq   uint64 `json:"seq,omitempty"`
}

// IsZero tells whether p is no place.
func (p Position) IsZero() bool { return p.Epoch == "" }

// Message is data for this machine.
type Message struct {
	// Position is where the message lies in the log. It is zero for a live-only message.
	Position Position
	// ID is the publisher's, if it gave one.
	ID string
	// Data is the JSON that was published, to the letter.
	Data json.RawMessage
}

// Gap says that messages between two positions may be gone for good: the machine was away for
// longer than the gateway keeps them, or the log began a new life.
type Gap struct {
	// After is the last position before the gap.
	After Position
	// Until is the last position of the gap: delivery goes on behind it.
	Until Position
}
