//go:build !unix

package socket

// shortages are the errors of a process or a system that has nothing left to open a connection with.
var shortages []error

// DescriptorLimit is how many descriptors this process may open; 0 if nobody can say.
func DescriptorLimit() uint64 { return 0 }
