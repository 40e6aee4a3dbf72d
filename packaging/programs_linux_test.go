package packaging_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// makePackage does what `make deb` does, into a folder of the test.
func makePackage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "../scripts/deb", dir)
	made, err := filepath.Glob(filepath.Join(dir, "fleetline_*.deb"))
	if err != nil || len(made) != 1 {
		t.Fatalf("scripts/deb made %v, %v; want one package", made, err)
	}
	return made[0]
}

// install has the real dpkg install a package into a root that is a folder, and lists what is there then.
const install = `set -e
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$1/etc" "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates"
touch "$1/var/lib/dpkg/status" "$1/var/lib/dpkg/available"
echo 'root:x:0:0::/root:/bin/sh' > "$1/etc/passwd"
echo 'root:x:0:' > "$1/etc/group"
dpkg --root="$1" --force-not-root --force-depends --force-script-chrootless -i "$2" >&2
find "$1" -printf '%m %U %G /%P\n'`

// installInto returns mode, owner and group of every path.
func installInto(t *testing.T, root, deb string) map[string]string {
	t.Helper()
	listed := output(t, "fakeroot", "sh", "-c", install, "sh", root, deb)
	names := map[string]string{}
	for line := range strings.Lines(read(t, filepath.Join(root, "etc/group"))) {
		if f := strings.Split(line, ":"); len(f) > 2 {
			names[f[2]] = f[0]
		}
	}
	found := map[string]string{}
	for line := range strings.Lines(listed) {
		if f := strings.Fields(line); len(f) == 4 {
			owner := map[string]string{"0": "root"}[f[1]]
			found[f[3]] = strings.Join([]string{f[0], owner, names[f[2]]}, " ")
		}
	}
	return found
}

// buildLikeTheImage runs the Dockerfile's own line, into a folder that others can read.
func buildLikeTheImage(t *testing.T) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^RUN (.*go build .*)$`).FindStringSubmatch(read(t, "Dockerfile"))
	if line == nil {
		t.Fatal("the Dockerfile builds nothing")
	}
	dir, err := os.MkdirTemp("", "fleetline-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "sh", "-c", "cd .. && "+strings.ReplaceAll(line[1], "/out/", dir+"/usr/bin/"))
	return dir
}

// program is the gateway in a process.
type program struct {
	*exec.Cmd
	t *testing.T

	mu sync.Mutex
	// Guarded by mu.
	said bytes.Buffer
}

// newProgram ends with the test.
func newProgram(t *testing.T, binary string, args ...string) *program {
	p := &program{Cmd: exec.CommandContext(t.Context(), binary, args...), t: t}
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.Stderr = p
	return p
}

// Write takes what the program says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// says waits until the program has said something.
func (p *program) says(text string) {
	p.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); !strings.Contains(p.String(), text); <-again.C {
		if time.Now().After(deadline) {
			p.t.Fatalf("it does not say %q:\n%s", text, p)
		}
	}
}

// stop is what systemd and Docker do.
func (p *program) stop() {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		p.t.Errorf("after SIGTERM it ends with %v:\n%s", err, p)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output runs a tool; what it says beside its output counts too if it fails.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	tool := exec.CommandContext(ctx, name, args...)
	var complaint bytes.Buffer
	tool.Stderr = &complaint
	out, err := tool.Output()
	if err != nil {
		t.Fatalf("%s (make setup installs what it needs): %v\n%s%s", name, err, out, &complaint)
	}
	return string(out)
}
