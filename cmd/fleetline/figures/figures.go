// Package figures reads what this host is doing now: its load, its memory and its network traffic.
// What a system does not tell is left out, never made up.
package figures

// Figures are a host's figures at one moment; nil is not known.
type Figures struct {
	// Load1 is the load average of the last minute.
	Load1 *float64 `json:"load1,omitempty"`
	// MemUsedBytes is the memory that programs could not be given.
	MemUsedBytes *uint64 `json:"memUsedBytes,omitempty"`
	// RxBytes and TxBytes count what all network interfaces but loopback received and sent since
	// the host started.
	RxBytes *uint64 `json:"rxBytes,omitempty"`
	TxBytes *uint64 `json:"txBytes,omitempty"`
}
