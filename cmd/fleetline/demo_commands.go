package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"github.com/fleetline/fleetline/internal/terminal"
)

// commands are what to paste into a second terminal. They find the gateway by its data folder.
func (d *demo) commands(machine string) string {
	program, dir := programName(), quoted(d.dir)
	return fmt.Sprintf(`%[4]s
  %[1]s publish --data-dir %[2]s --machine %[3]s hello
  %[1]s machine list --data-dir %[2]s
  %[1]s machine delete --data-dir %[2]s %[3]s
`, program, dir, machine, d.screen.Language().Say(terminal.WordSecondTerminal))
}

// programName is how a person runs this program again. What go run built is gone afterwards.
func programName() string {
	program, err := os.Executable()
	if err != nil {
		return "fleetline"
	}
	if isFromGoRun(program) {
		return "go run ./cmd/fleetline"
	}
	if found, err := exec.LookPath("fleetline"); err == nil && found == program {
		return "fleetline"
	}
	return quoted(program)
}

// isFromGoRun tells a temporary program of go run and one from Go's build cache, where a folder is
// named by the SHA-256 of what is in it.
func isFromGoRun(program string) bool {
	program = filepath.ToSlash(program)
	folder := path.Base(path.Dir(program))
	return strings.Contains(program, "/go-build") || strings.HasSuffix(folder, "-d") && len(folder) == len("-d")+2*sha256.Size
}

// quoted makes one word for a shell.
func quoted(name string) string {
	plain, quote := "/.:_-+", `'`
	if runtime.GOOS == "windows" {
		plain, quote = `\/.:_-+`, `"`
	}
	special := strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(plain, r)
	})
	if !special {
		return name
	}
	return quote + strings.ReplaceAll(name, `'`, `'\''`) + quote
}
