package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal tells whether what is written to w goes to systemd's journal. A process that a service has
// started inherits JOURNAL_STREAM, and may write elsewhere.
func isJournal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
