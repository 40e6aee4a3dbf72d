package fleetline

import "time"

// Phase is what a Client is doing.
type Phase int

// The phases of a Client. It begins with Connecting and ends with Ended.
const (
	Connecting Phase = iota
	Connected
	Waiting // for the next attempt
	Ended
)

func (p Phase) String() string {
	return [...]string{"connecting", "connected", "waiting", "ended"}[p]
}

// Status is the state of a Client's line.
type Status struct {
	Phase Phase
	// MachineID and SessionID are set while Connected.
	MachineID string
	SessionID string
	// Reason says why the client is Waiting or has Ended.
	Reason error
	// Delay is how long it waits, while Waiting.
	Delay time.Duration
}
