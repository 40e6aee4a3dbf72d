//go:build unix

package socket

import "golang.org/x/sys/unix"

// shortages are the errors of a process or a system that has nothing left to open a connection with.
var shortages = []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM}

// DescriptorLimit is how many descriptors this process may open; 0 if nobody can say. Go has raised
// the soft limit to the hard one when the process started.
func DescriptorLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}
