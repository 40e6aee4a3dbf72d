package fleetline

import "golang.org/x/sys/unix"

// ramBytes is the memory of this machine; 0 if the system does not say.
func ramBytes() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n
}
