package socket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := rings(); len(left) > 0 {
			fmt.Println("a test has left io_uring open:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// rings are the descriptors of this process that are io_uring's, where there is such a thing.
func rings() (fds []int) {
	all, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range all {
		if to, _ := os.Readlink(path); strings.Contains(to, "io_uring") {
			fd, _ := strconv.Atoi(filepath.Base(path))
			fds = append(fds, fd)
		}
	}
	return fds
}
