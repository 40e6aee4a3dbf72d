// Package packaging_test builds what is installed, and looks at it as an installer and systemd do.
package packaging_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// buildTime is for a whole build on a busy machine.
	buildTime = 25 * time.Minute
	patience  = 2 * time.Minute
)

func TestThePackageInstallsWhatAServerNeeds(t *testing.T) {
	deb := makePackage(t)
	root := t.TempDir()
	log := installInto(t, root, deb)

	for path, want := range map[string]string{
		"/usr/bin/fleetline":                                "755 root root",
		"/lib/systemd/system/fleetline.service":             "644 root root",
		"/lib/systemd/system/fleetline-connect.service":     "644 root root",
		"/etc/fleetline":                                    "755 root root",
		"/etc/fleetline/fleetline.env":                      "640 root fleetline",
		"/etc/fleetline/.env":                               "777 root root",
		"/etc/fleetline/connect.env":                        "600 root root",
		"/usr/share/doc/fleetline/examples/nginx.conf":      "644 root root",
		"/usr/share/doc/fleetline/examples/grafana.json":    "644 root root",
		"/usr/share/doc/fleetline/docs/deploy.md":           "644 root root",
		"/usr/share/doc/fleetline/docs/coming-from-node.md": "644 root root",
		"/usr/share/doc/fleetline/copyright":                "644 root root",
	} {
		if got := log[path]; got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if users := read(t, filepath.Join(root, "etc/passwd")); !regexp.MustCompile(`(?m)^fleetline:.*:/var/lib/fleetline:/usr/sbin/nologin$`).MatchString(users) {
		t.Errorf("the gateway's user is not as it should be:\n%s", users)
	}
	if to, err := os.Readlink(filepath.Join(root, "etc/fleetline/.env")); err != nil || to != "fleetline.env" {
		t.Errorf(".env leads to %q, %v", to, err)
	}
	if settings := read(t, filepath.Join(root, "etc/fleetline/fleetline.env")); !strings.Contains(settings, "\nFLEETLINE_DATA_DIR=/var/lib/fleetline\n") {
		t.Errorf("operators' commands do not find the gateway's folder:\n%s", settings)
	}
	conffiles := output(t, "dpkg-deb", "--ctrl-tarfile", deb)
	for _, name := range []string{"/etc/fleetline/fleetline.env", "/etc/fleetline/connect.env"} {
		if !strings.Contains(conffiles, name+"\n") {
			t.Errorf("%s is no conffile: an upgrade would replace what was written there", name)
		}
	}
	checkUnits(t, root)
}

// checkUnits has systemd read the units where they were installed.
func checkUnits(t *testing.T, root string) {
	t.Helper()
	for _, unit := range []string{"fleetline.service", "fleetline-connect.service"} {
		path := filepath.Join(root, "lib/systemd/system", unit)
		// The program is looked for in this host's root.
		here := filepath.Join(t.TempDir(), unit)
		text := strings.ReplaceAll(read(t, path), "/usr/bin/fleetline", filepath.Join(root, "usr/bin/fleetline"))
		if err := os.WriteFile(here, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		verified, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", here).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze verify %s: %v", unit, err)
		}
		for line := range strings.Lines(string(verified)) {
			if strings.Contains(line, unit) {
				t.Errorf("systemd-analyze verify says: %s", line)
			}
		}
		said := output(t, "systemd-analyze", "security", "--offline=true", "--no-pager", here)
		verdict := regexp.MustCompile(`Overall exposure level.*: (\d+\.\d) `).FindStringSubmatch(said)
		if verdict == nil || verdict[1] > "2.0" || len(verdict[1]) > 3 {
			t.Errorf("%s: want an exposure of 2.0 at most:\n%s", unit, said)
		} else {
			t.Logf("%s: exposure %s", unit, verdict[1])
		}
	}
}

func TestTheStaticProgram(t *testing.T) {
	image := buildLikeTheImage(t)
	t.Run("talks to systemd", func(t *testing.T) { talksToSystemd(t, filepath.Join(image, "usr/bin/fleetline")) })
	t.Run("serves with nothing beside it", func(t *testing.T) { servesAlone(t, image) })
}

// talksToSystemd runs the program as the service does: with a folder from systemd, a journal and somebody
// who waits for its word.
func talksToSystemd(t *testing.T, binary string) {
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	journal, err := os.Create(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(journal.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *program {
		p := newProgram(t, binary, append([]string{"serve"}, args...)...)
		p.Dir, p.Stderr = dir, journal
		p.Env = []string{
			"NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "STATE_DIRECTORY=" + filepath.Join(dir, "state"),
			fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino),
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	gateway := run("--host=127.0.0.1", "--port=0", "--admin-addr=127.0.0.1:0")
	word := make([]byte, 100)
	_ = manager.SetReadDeadline(time.Now().Add(patience))
	if n, err := manager.Read(word); err != nil || string(word[:n]) != "READY=1" {
		t.Errorf("systemd hears %q, %v, want READY=1", word[:n], err)
	}
	gateway.stop()
	wrong := run("--heartbeat=soon")
	if err := wrong.Wait(); wrong.ProcessState.ExitCode() != 2 {
		t.Errorf("wrong settings end with %v, want exit code 2", err)
	}
	checkJournal(t, read(t, journal.Name()))
	if _, err := os.Stat(filepath.Join(dir, "state", "admin.token")); err != nil {
		t.Errorf("what the gateway keeps is not in STATE_DIRECTORY: %v", err)
	}
}

func checkJournal(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		if !regexp.MustCompile(`^<[3467]>`).MatchString(line) || strings.Contains(line, "time=") {
			t.Errorf("this line has no level in front, or a time of its own: %s", line)
		}
	}
	for _, want := range []string{"<6>msg=serving ", "<6>msg=stopping ", "<3>fleetline: FLEETLINE_HEARTBEAT: "} {
		if !strings.Contains(said, want) {
			t.Errorf("the journal does not have %q:\n%s", want, said)
		}
	}
}

// servesAlone runs the program with nothing but what the image holds, as the image's user, if the
// test may do so.
func servesAlone(t *testing.T, image string) {
	gateway := newProgram(t, filepath.Join(image, "usr/bin/fleetline"), "serve")
	data := filepath.Join(image, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(data, 65532, 65532); err != nil {
			t.Fatal(err)
		}
		gateway.Path, gateway.Dir, data = "/usr/bin/fleetline", "/", "/data"
		gateway.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL}
	}
	gateway.Env = []string{"FLEETLINE_DATA_DIR=" + data, "FLEETLINE_LOG_FORMAT=json", "HOST=127.0.0.1", "PORT=0", "FLEETLINE_ADMIN_ADDR=127.0.0.1:0"}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	gateway.says(`"msg":"serving"`)
	gateway.stop()
}

func TestTheDockerfileNamesWhatIsThere(t *testing.T) {
	text := read(t, "Dockerfile")
	for _, line := range []string{
		"COPY --from=build /out/fleetline /usr/bin/fleetline", "COPY --from=build --chown=65532:65532 /out/data /data",
		"USER 65532:65532", "ENV PATH=/usr/bin FLEETLINE_DATA_DIR=/data FLEETLINE_LOG_FORMAT=json", "VOLUME /data", `ENTRYPOINT ["/usr/bin/fleetline"]`, `CMD ["serve"]`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the Dockerfile does not say %q", line)
		}
	}
	for _, named := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(text, -1) {
		for _, path := range strings.Fields(named[1]) {
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("the Dockerfile copies what is not there: %v", err)
			}
		}
	}
}
