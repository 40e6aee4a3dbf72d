package broker

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// bootID is not known here: a start after anything but a clean stop begins a new life of the log,
// unless every publish was synced.
func bootID() string { return "" }

// identity names the file itself, not its content: a copy has another one. It survives a rename.
// The birth time is left out because the system gives a new file that of the one it replaces.
func identity(f *os.File) (string, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return "", err
	}
	return fmt.Sprintf("volume %d file %d.%d", info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow), nil
}

func freeDisk(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}

// syncDir does nothing: a folder cannot be synced here, and a rename is journalled.
func syncDir(string) error { return nil }
