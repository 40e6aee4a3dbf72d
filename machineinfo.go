package fleetline

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"runtime"
	"strings"
	"sync"

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
	said.BootID = cmp.Or(said.BootID, bootID(said.HWID))
	return said
}

// processBoot stands in for the system's boot id where there is none.
var processBoot = sync.OnceValue(rand.Text)

// bootID differs between two systems that run at once, as copies of one do. It is hashed with the hwid, so
// that nobody can find the same system elsewhere by it.
func bootID(hwid string) string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id") // Linux
	if err != nil || len(id) == 0 {
		id = []byte(processBoot())
	}
	sum := sha256.Sum256(append(id, hwid...))
	return hex.EncodeToString(sum[:16])
}

func hostname() string {
	name, _ := os.Hostname() // without one the field stays empty
	if len(name) > wire.MaxField {
		name = name[:wire.MaxField]
	}
	return strings.ToValidUTF8(name, "")
}
