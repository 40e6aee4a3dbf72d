package figures

import (
	"net"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Read asks Windows, which knows no load average.
func Read() Figures {
	var f Figures
	f.MemUsedBytes = memUsed()
	f.RxBytes, f.TxBytes = traffic()
	return f
}

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

func memUsed() *uint64 {
	status := memoryStatus{}
	status.length = uint32(unsafe.Sizeof(status))
	ask := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	if ask.Find() != nil {
		return nil
	}
	if ok, _, _ := ask.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return nil
	}
	used := status.totalPhys - status.availPhys
	return &used
}

func traffic() (rx, tx *uint64) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, nil
	}
	var received, sent uint64
	found := false
	for _, i := range interfaces {
		row := windows.MibIfRow2{InterfaceIndex: uint32(i.Index)}
		if i.Flags&net.FlagLoopback != 0 || windows.GetIfEntry2Ex(windows.MibIfEntryNormal, &row) != nil {
			continue
		}
		received, sent, found = received+row.InOctets, sent+row.OutOctets, true
	}
	if !found {
		return nil, nil
	}
	return &received, &sent
}
