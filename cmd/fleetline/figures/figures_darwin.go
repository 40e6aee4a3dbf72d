package figures

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// Read reads the figures from sysctl. Traffic is not to be had there.
func Read() Figures {
	return Figures{Load1: load1(), MemUsedBytes: memUsed()}
}

// load1 reads struct loadavg: three fixed-point numbers and, aligned to eight bytes, their scale.
func load1() *float64 {
	b, err := unix.SysctlRaw("vm.loadavg")
	if err != nil || len(b) < 24 {
		return nil
	}
	scale := binary.LittleEndian.Uint64(b[16:])
	if scale == 0 {
		return nil
	}
	load := float64(binary.LittleEndian.Uint32(b)) / float64(scale)
	return &load
}

// memUsed counts pages that are neither free nor a copy of a file.
func memUsed() *uint64 {
	total, err := unix.SysctlUint64("hw.memsize")
	free, err2 := unix.SysctlUint32("vm.page_free_count")
	files, err3 := unix.SysctlUint32("vm.page_pageable_external_count")
	spare := (uint64(free) + uint64(files)) * uint64(os.Getpagesize())
	if err != nil || err2 != nil || err3 != nil || spare > total {
		return nil
	}
	used := total - spare
	return &used
}
