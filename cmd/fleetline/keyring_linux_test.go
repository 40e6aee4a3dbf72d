package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// busConfig is a session bus that starts no services: asked for a keyring that is not there yet, the
// usual one would start another, which is locked and keeps the name.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// sessionBus is a D-Bus of the test's own, with the real keyring of a desktop on it, unlocked.
func sessionBus(t *testing.T) (address string) {
	t.Helper()
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home}
	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(home, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nosyslog", "--print-address")
	bus.Env = env
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatalf("starting a session bus (Debian package dbus): %v", err)
	}
	t.Cleanup(func() { _ = bus.Process.Kill(); _ = bus.Wait() })
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	ring := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	ring.Env = append(env, "DBUS_SESSION_BUS_ADDRESS="+address)
	ring.Stdin = strings.NewReader("password")
	if err := ring.Start(); err != nil {
		t.Fatalf("starting a keyring (Debian package gnome-keyring): %v", err)
	}
	t.Cleanup(func() { _ = ring.Process.Kill(); _ = ring.Wait() })
	return address
}

func TestKeyAndStateLieInTheSystemKeyringAndNowhereElse(t *testing.T) {
	g := fleetlinetest.Start(t)
	_, key := g.AddAccount("keyring")
	bus := sessionBus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus)
	ring := newKeyring(stateName(g.URL))
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); !ring.answers(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatal("the keyring does not answer")
		}
	}
	env := []string{"DBUS_SESSION_BUS_ADDRESS=" + bus}

	first := startClient(t, append(env, "FLEETLINE_API_KEY="+key), "connect", "--server", g.URL)
	first.waitFor(t, "connected: machine mch_")
	g.Publish(api.Target{All: true}, `"kept"`)
	first.waitFor(t, `"kept"`)
	first.stop()
	s, err := ring.Load()
	if err != nil || s.MachineID == "" || s.HWID == "" || s.Position.Seq == 0 {
		t.Fatalf("the keyring holds %+v, %v", s, err)
	}
	if files, _ := filepath.Glob(filepath.Join(first.command.Dir, ".config", "*")); len(files) > 0 {
		t.Errorf("there are files too: %v", files)
	}

	s.APIKey = key // as if it had been typed
	if err := ring.Save(s); err != nil {
		t.Fatal(err)
	}
	second := startClient(t, env, "connect", "--server", g.URL)
	second.waitFor(t, "connected: machine "+s.MachineID)
	if err := g.API.DeleteMachine(t.Context(), s.MachineID); err != nil {
		t.Fatal(err)
	}
	second.waitFor(t, "stored API key and everything else kept for this machine are cleared")
	second.end() // by itself: a signal may be quicker than its exit code
	if got := second.command.ProcessState.ExitCode(); got != exitDeleted {
		t.Errorf("the exit code is %d, want %d", got, exitDeleted)
	}
	if left, err := ring.Load(); err != nil || left.APIKey != "" || left.MachineID != "" || left.HWID != s.HWID {
		t.Errorf("the keyring holds %+v, %v", left, err)
	}
}

func TestAKeyringThatNeverAnswersIsDoneWithout(t *testing.T) {
	g := fleetlinetest.Start(t)
	_, key := g.AddAccount("headless")
	mute, err := net.Listen("unix", filepath.Join(t.TempDir(), "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() { // ends with the listener
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	p := startClient(t, []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + mute.Addr().String(), "FLEETLINE_API_KEY=" + key}, "connect", "--server", g.URL)
	p.waitFor(t, "connected: machine mch_")
	p.stop()
	file := filepath.Join(p.command.Dir, ".config", "fleetline", stateName(g.URL)+".json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state's file: %v, %v", info, err)
	}
}
