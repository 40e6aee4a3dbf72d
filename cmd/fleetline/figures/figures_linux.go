package figures

import (
	"os"
	"strconv"
	"strings"
)

// Read reads the figures from /proc.
func Read() Figures {
	var f Figures
	f.Load1 = load1(read("/proc/loadavg"))
	f.MemUsedBytes = memUsed(read("/proc/meminfo"))
	f.RxBytes, f.TxBytes = traffic(read("/proc/net/dev"))
	return f
}

func read(name string) string {
	text, _ := os.ReadFile(name) // a file that is not there holds no figures
	return string(text)
}

func load1(loadavg string) *float64 {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return nil
	}
	return &load
}

func memUsed(meminfo string) *uint64 {
	total, ok := kibibytes(meminfo, "MemTotal:")
	available, ok2 := kibibytes(meminfo, "MemAvailable:")
	if !ok || !ok2 || available > total {
		return nil
	}
	used := (total - available) << 10
	return &used
}

func kibibytes(meminfo, name string) (uint64, bool) {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// traffic adds up the interfaces: after the name come eight counters of what was received, bytes
// first, then those of what was sent. A host with loopback alone has sent nothing.
func traffic(dev string) (rx, tx *uint64) {
	var received, sent uint64
	found := false
	for line := range strings.Lines(dev) {
		name, counters, ok := strings.Cut(line, ":")
		f := strings.Fields(counters)
		if !ok || len(f) < 9 {
			continue
		}
		found = true
		if strings.TrimSpace(name) == "lo" {
			continue
		}
		in, err := strconv.ParseUint(f[0], 10, 64)
		out, err2 := strconv.ParseUint(f[8], 10, 64)
		if err == nil && err2 == nil {
			received, sent = received+in, sent+out
		}
	}
	if !found {
		return nil, nil
	}
	return &received, &sent
}
