package js_test

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// machine is the client as a Node program.
type machine struct {
	told
	cmd  *exec.Cmd
	done chan struct{} // closed once it has exited
}

func startNode(t *testing.T, server, key, dir string, env ...string) *machine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	m := &machine{told: make(told, 4096), done: make(chan struct{})}
	m.cmd = exec.CommandContext(ctx, "node", "test/machine.js")
	m.cmd.Env = append(append(without("FLEETLINE_"), env...), "FLEETLINE_SERVER="+server, "FLEETLINE_API_KEY="+key, "FLEETLINE_STATE_DIR="+dir)
	m.cmd.Stderr = os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatalf("starting the client (make setup installs what it needs): %v", err)
	}
	go func() { // ends with the process, which the cleanup kills and waits for
		defer close(m.done)
		m.read(out)
		_ = m.cmd.Wait()
	}()
	t.Cleanup(func() { cancel(); <-m.done })
	return m
}

func (m *machine) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 2<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			m.told <- e
		}
	}
}

func (m *machine) kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

func (m *machine) exits(t *testing.T, code int) {
	t.Helper()
	<-m.done // at the latest when patience is over
	if got := m.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("the exit code is %d, want %d", got, code)
	}
}

func TestAMachineInNodeLivesUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("node")
	to, dir := api.Target{Account: account}, t.TempDir()
	m := startNode(t, g.URL, key, dir)
	m.isState(t, "connected")
	m.shows(t, g.Publish(to, `{"hello":["machine",1.5,null]}`), `{"hello":["machine",1.5,null]}`)

	g.Stop()
	m.isState(t, "waiting")
	g.Resume()
	first, second := g.Publish(to, `"while it"`), g.Publish(to, `"was away"`)
	m.shows(t, first, `"while it"`)
	m.shows(t, second, `"was away"`)

	busy := g.Publish(to, `{"holdMs":600000}`)
	m.shows(t, busy, `{"holdMs":600000}`)
	m.kill()
	m = startNode(t, g.URL, key, dir)
	for e := m.next(t); e.Seq != busy.Seq; e = m.next(t) { // at worst the second before is given again
		if e.Event != "data" || e.Seq < first.Seq || e.Seq > busy.Seq {
			t.Fatalf("after kill -9 the client told %+v", e)
		}
	}
	m.kill()

	m = startNode(t, g.URL, key, dir)
	m.isState(t, "connected")
	deleteOnly(t, g, account)
	for e := m.next(t); e.Event != "end"; e = m.next(t) {
		continue
	}
	m.exits(t, 3)
	m = startNode(t, g.URL, key, dir)
	m.isState(t, "ended")
	m.ends(t, "machine_deleted")
	m.exits(t, 3)
	text, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil || strings.Contains(string(text), key) || strings.Contains(string(text), "machineId") {
		t.Errorf("after the deletion the state is %s, %v", text, err)
	}
}

func TestAKeyThatIsNotAcceptedEndsTheProgram(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	m := startNode(t, g.URL, "flk_nobody", t.TempDir())
	m.ends(t, "bad_key")
	m.exits(t, 4)
}

// A large message crosses chunks of TLS and of the socket, and frames of more than 64 KiB.
func TestNodeSpeaksTLSAndTakesWhatIsLarge(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("tls")
	behind, err := url.Parse(strings.Replace(g.URL, "ws", "http", 1))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes of those that do not trust it
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	address := strings.Replace(proxy.URL, "https", "wss", 1)
	trust := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	if err := os.WriteFile(trust, certificate, 0o600); err != nil {
		t.Fatal(err)
	}

	stranger := startNode(t, address, key, t.TempDir())
	stranger.isState(t, "waiting")
	stranger.kill()

	m := startNode(t, address, key, t.TempDir(), "NODE_EXTRA_CA_CERTS="+trust)
	m.isState(t, "connected")
	large := `"` + strings.Repeat("große Daten ", 16_000) + `"`
	m.shows(t, g.Publish(api.Target{Account: account}, large), large)
	m.kill()
}
