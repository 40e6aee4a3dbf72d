//go:build !linux

package socket

// New makes the engine that holds the most connections on this system.
func New(cfg Config) (*Portable, error) { return NewPortable(cfg) }
