//go:build !linux && !darwin && !windows

package fleetline

// ramBytes is not known on this system.
func ramBytes() uint64 { return 0 }
