package socket

import "math"

// reservedDescriptors are about those that are no machine's: the log's files, the operators' port, two at a
// time for handshakes. Machines must leave them alone: a log that may not open a file takes nothing more
// until the gateway is started anew.
const reservedDescriptors = 500

// MachineLimit is how many machines the limit of descriptors lets in; 0 if nobody can say.
func MachineLimit() uint64 {
	limit := DescriptorLimit()
	return limit - min(reservedDescriptors, limit/2)
}

// machineDescriptors is the number below which descriptors of machines are. A new one gets the lowest that
// is free (POSIX, File Descriptor Allocation): when it is not below, all that are have been taken.
func machineDescriptors() int {
	if most := MachineLimit(); most > 0 && most < math.MaxInt32 {
		return int(most)
	}
	return math.MaxInt32
}
