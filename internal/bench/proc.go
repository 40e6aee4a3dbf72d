package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What Linux tells about processes, in /proc (proc(5)).

// tickLength is the unit of times in /proc/PID/stat. It is the same on every architecture that Go
// runs on.
const tickLength = 10 * time.Millisecond

// memory is what a process holds, in bytes.
type memory struct {
	resident  int64 // all of it: VmRSS
	anonymous int64 // without pages of files, such as the program's own text: RssAnon
}

// use is what a process has used since its start.
type use struct {
	cpu    time.Duration
	faults int64 // pages that were new to it, or were not mapped yet, and did not come from a disk
}

func useOf(pid int) (use, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return use{}, err
	}
	return parseStat(text)
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseStatus(text)
}

// parseStat reads minflt, field 10, and adds up utime and stime, fields 14 and 15. The second field is
// the program's name in brackets, which may hold spaces and brackets itself.
func parseStat(text []byte) (use, error) {
	_, rest, found := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 13 {
		return use{}, errors.New("reading what a process has used: too few fields")
	}
	var n [3]int64
	for i, field := range []int{10, 14, 15} {
		var err error
		if n[i], err = strconv.ParseInt(string(fields[field-3]), 10, 64); err != nil {
			return use{}, fmt.Errorf("reading what a process has used: %w", err)
		}
	}
	return use{time.Duration(n[1]+n[2]) * tickLength, n[0]}, nil
}

func parseStatus(text []byte) (m memory, err error) {
	if m.resident, err = kilobytes(text, "VmRSS"); err != nil {
		return m, err
	}
	m.anonymous, err = kilobytes(text, "RssAnon")
	return m, err
}

// kilobytes reads a line such as "VmRSS:     1234 kB", in bytes.
func kilobytes(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		value, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", name, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("reading a process's memory: there is no %s", name)
}

// parseCPUModel finds the name of the processor in /proc/cpuinfo.
func parseCPUModel(text string) string {
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// loadOf reads the first number of /proc/loadavg: the load over a minute.
func loadOf(text string) float64 {
	first, _, _ := strings.Cut(text, " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
