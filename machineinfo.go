package fleetline

import (
	"cmp"
	"os"
	"runtime"
	"strings"

	"github.com/fleetline/fleetline/wire"
)

// fillInfo adds what the system knows to what the caller said. It is asked at every attempt: a
// hostname may change while the process lives.
func fillInfo(said MachineInfo) MachineInfo {
	said.Hostname = cmp.Or(said.Hostname, hostname())
	said.OS = cmp.Or(said.OS, runtime.GOOS)
	said.Arch = cmp.Or(said.Arch, runtime.GOARCH)
	said.CPUCores = cmp.Or(said.CPUCores, uint64(runtime.NumCPU()))
	said.RAMBytes = cmp.Or(said.RAMBytes, ramBytes())
	return said
}

func hostname() string {
	name, _ := os.Hostname() // without one the field stays empty
	if len(name) > wire.MaxField {
		name = name[:wire.MaxField]
	}
	return strings.ToValidUTF8(name, "")
}
