package broker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// bootID names this run of the system; empty if it cannot be known.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// identity names the file itself, not its content: a copy has another one. It survives a rename.
func identity(f *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("inode %d born %d.%09d", st.Ino, st.Btim.Sec, st.Btim.Nsec), nil
}
