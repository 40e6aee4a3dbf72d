package fleetline

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryStatus is MEMORYSTATUSEX of the Windows API.
type memoryStatus struct {
	length       uint32
	load         uint32
	totalPhys    uint64
	availPhys    uint64
	totalPage    uint64
	availPage    uint64
	totalVirtual uint64
	availVirtual uint64
	availExtend  uint64
}

// ramBytes is the memory of this machine; 0 if the system does not say.
func ramBytes() uint64 {
	status := memoryStatus{}
	status.length = uint32(unsafe.Sizeof(status))
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	if proc.Find() != nil {
		return 0
	}
	if ok, _, _ := proc.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return 0
	}
	return status.totalPhys
}
