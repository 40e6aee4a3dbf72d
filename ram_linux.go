package fleetline

import "golang.org/x/sys/unix"

// ramBytes is the memory of this machine; 0 if the system does not say.
func ramBytes() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit) // 32 bits wide on some systems
}
