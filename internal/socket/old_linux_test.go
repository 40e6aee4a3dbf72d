package socket

import (
	"log/slog"
	"math"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhereAcceptingWouldWaitItIsDoneOneByOne lies inside the package because the kernel is not older than
// it is. One that cannot accept through a ring without waiting answers as for what is no listener.
func TestWhereAcceptingWouldWaitItIsDoneOneByOne(t *testing.T) {
	d := newDoorway(Config{Logger: slog.New(slog.DiscardHandler)}, math.MaxInt32)
	defer d.close()
	if d.ring == nil {
		t.Log("there is no io_uring: this is done one by one anyhow")
		return
	}
	deaf, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(deaf)
	if list, err := d.accept(deaf, 5, nil); len(list) > 0 || err != nil || !d.isOld {
		t.Fatalf("%d came, %v; taken for old: %v", len(list), err, d.isOld)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 5 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	raw, _ := l.(*net.TCPListener).SyscallConn()
	_ = raw.Control(func(fd uintptr) {
		list, err := d.accept(int(fd), 5, nil)
		for _, a := range list {
			_ = unix.Close(a.fd)
		}
		if len(list) != 5 || err != nil {
			t.Errorf("%d came, %v, want 5", len(list), err)
		}
	})
}
