package socket_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
	"golang.org/x/sys/unix"
)

// lowest is the number that the next descriptor gets.
func lowest(t *testing.T) int {
	t.Helper()
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	return fd
}

// limitTo lets the process open so many descriptors.
func limitTo(t *testing.T, n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	less := limit
	less.Cur = uint64(n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) })
}

func TestMachinesLeaveDescriptorsToTheRestOfTheProcess(t *testing.T) {
	for _, kind := range []string{"direct", "native"} {
		t.Run(kind, func(t *testing.T) {
			log := &lines{}
			e := native(t, socket.Config{Handler: newRecorder()})
			most := lowest(t) + 20
			limitTo(t, 2*most) // of so few machines are left half
			l, err := socket.Listen(t.Context(), "127.0.0.1:0", slog.New(slog.NewTextHandler(log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { l.Close() }() // whichever it is then
			if kind == "direct" {
				if l, err = e.(socket.Receiver).Receive(l, everybody); err != nil {
					t.Fatal(err)
				}
			}
			var crowd []net.Conn
			for lowest(t) < most {
				crowd = append(crowd, sayLittle(t, l)) // whose own ends are machines enough
			}
			if _, err := l.Accept(); !errors.Is(err, unix.EMFILE) || !err.(interface{ Temporary() bool }).Temporary() {
				t.Errorf("one too many is accepted: %v, want an error that passes", err)
			}
			if log.count("ulimit") != 1 {
				t.Error("nobody is told")
			}
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Error("nothing is left for the log:", err)
			}
			f.Close()
			for _, nc := range crowd {
				nc.Close()
			}
			defer sayLittle(t, l).Close()
			in, err := l.Accept()
			for range len(crowd) {
				if err != nil { // those who have gone come first, and all at once
					in, err = l.Accept()
				}
			}
			if err != nil {
				t.Fatal("accepting again:", err)
			}
			in.Close()
		})
	}
}

// sayLittle dials, and says so much that the connection is net/http's.
func sayLittle(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	return nc
}
