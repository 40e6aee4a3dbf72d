package main

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// window is a real terminal with a person's shell in it.
type window struct {
	t      *testing.T
	socket string
}

// openWindow opens one of so many columns, in a home of its own.
func openWindow(t *testing.T, columns int, env ...string) *window {
	t.Helper()
	w := &window{t, filepath.Join(t.TempDir(), "tmux")}
	args := []string{"-u", "-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", "50"}
	for _, v := range append(env, "HOME="+t.TempDir(), "DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=", "XDG_CONFIG_HOME=", raceOptions+"="+quickEnd) {
		args = append(args, "-e", v)
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", w.socket, "kill-server").Run() })
	w.tmux(append(args, "sh")...)
	w.enter("echo ready to ty''pe")
	w.waitFor("ready to type")
	return w
}

func (w *window) tmux(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", w.socket}, args...)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %s (Debian package tmux): %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// enter types a line and the return key.
func (w *window) enter(text string) {
	w.t.Helper()
	w.tmux("send-keys", "-l", text)
	w.tmux("send-keys", "Enter")
}

// screen is what a person sees.
func (w *window) screen() string { return w.tmux("capture-pane", "-p") }

// waitFor returns the screen once all of this can be seen on it.
func (w *window) waitFor(wanted ...string) string {
	w.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); ; <-again.C {
		screen, missing := w.screen(), ""
		for _, text := range wanted {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return screen
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%q is not to be seen on\n%s", missing, screen)
		}
	}
}

// sight is a person's whole time with the client, in one language.
type sight struct {
	env                       string
	checked, ask, up, hearts  string
	deleted, cleared, advised string
}

func TestAPersonTypesTheKeySeesDataAndTheGoodbye(t *testing.T) {
	for name, s := range map[string]sight{
		"English": {
			"LC_ALL=C.UTF-8", "✓ gateway  it is there, and WebSockets reach it", "API key (it is not shown):", "● connected  machine ", "♥ heartbeat, ",
			"✗ the machine has been deleted", "The stored API key and everything else", "Start again with a new API key",
		},
		"Chinese": {
			"LC_ALL=zh_CN.UTF-8", "✓ 网关     在线，WebSocket 可以到达", "API 密钥（输入时不显示）：", "● 已连接  机器 ", "♥ 心跳，连续",
			"✗ 这台机器已被删除", "已清除为这台机器保存的 API 密钥", "请用新的 API 密钥重新启动",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := fleetlinetest.StartWith(t, fleetlinetest.Config{Heartbeat: time.Second})
			account, key := g.AddAccount("person")
			w := openWindow(t, 80, s.env, "TERM=xterm-256color")
			w.enter("clear; fleetline connect --server " + g.URL + `; echo "exit code $?"`)
			w.waitFor(`|_| |_\___\___|\__|_|_|_||_\___|`, s.checked, s.ask)
			w.enter(key)
			w.waitFor(s.up+"mch_", s.hearts)
			g.Publish(api.Target{Account: account}, `{"hello":"person","你好":"\u001b[2J\u009b2J"}`)
			seen := w.waitFor(`{"hello":"person","你好":"\u001b[2J\u009b2J"}`, s.up)
			if strings.Contains(seen, key) {
				t.Errorf("the key can be seen on\n%s", seen)
			}
			machines, err := g.API.MachinePage(t.Context(), api.MachineQuery{})
			if err != nil || len(machines.Machines) != 1 {
				t.Fatalf("machines: %v, %v", machines, err)
			}
			if err := g.API.DeleteMachine(t.Context(), machines.Machines[0].ID); err != nil {
				t.Fatal(err)
			}
			w.waitFor(s.deleted, "Your machine has been deleted. Please re-authenticate.", s.cleared, s.advised, "exit code 3")

			w.enter("clear; fleetline connect --server " + g.URL + `; echo "exit code $?"`)
			w.waitFor(s.ask)
			w.enter(key) // the key that it was deleted with
			w.waitFor(s.deleted, "exit code 3")
			w.enter("clear; fleetline connect --server " + g.URL + `; echo "exit code $?"`)
			w.waitFor(s.ask)
			w.enter("flk_wrong")
			w.waitFor("exit code 4")
		})
	}
}

func TestAPersonIsNotAskedForAKeyWhenTheServerIsNotThere(t *testing.T) {
	w := openWindow(t, 60, "LC_ALL=C.UTF-8", "TERM=xterm-256color")
	w.enter("clear; fleetline connect --server 127.0.0.1:" + spare(t) + `; echo "exit code $?"`)
	seen := w.waitFor("✗ server", "refuses the connection", "so no key was\n    asked for", "exit code 1")
	if strings.Contains(seen, "it is not shown") {
		t.Errorf("a key is asked for on\n%s", seen)
	}
	for line := range strings.Lines(seen) {
		if strings.HasPrefix(line, "e ") || strings.HasPrefix(line, " the") {
			t.Errorf("the text is not broken between words:\n%s", seen)
		}
	}
}

func TestColourIsSeenAndNO_COLORTurnsItOff(t *testing.T) {
	g := fleetlinetest.Start(t)
	for _, c := range []struct {
		env    string
		colour bool
	}{{"COLOUR=1", true}, {"NO_COLOR=1", false}} {
		w := openWindow(t, 100, "LC_ALL=C.UTF-8", "TERM=xterm-256color", c.env)
		w.enter("clear; fleetline connect --check --server " + g.URL + `; echo "exit code $?"`)
		w.waitFor("WebSockets reach it", "exit code 0")
		if got := strings.Contains(w.tmux("capture-pane", "-e", "-p"), "\x1b[38;5;29m"); got != c.colour {
			t.Errorf("with %s, colour is %v", c.env, got)
		}
	}
}
