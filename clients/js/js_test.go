// Package js_test runs the JavaScript client against a real gateway, from Node and from Chromium.
// How it behaves when a gateway misbehaves is judged by clients/conformance.
package js_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for machines that run all tests at once.
const patience = 3 * time.Minute

func TestTheTypesAreThoseThatProgramsUse(t *testing.T) {
	t.Parallel()
	node(t, "node_modules/typescript/bin/tsc", "--project", "test")
}

func TestWhatNeedsNoGateway(t *testing.T) {
	t.Parallel()
	node(t, "--test", "--test-reporter=spec", "test/unit.test.js")
}

func TestBothEntriesExportWhatTheirTypesSay(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"@fleetline/client": "FileState MemoryState Refusal connect",
		"./src/browser.js":  "LocalState MemoryState Refusal connect",
	} {
		got := node(t, "--input-type=module", "-e", `console.log(Object.keys(await import("`+entry+`")).sort().join(" "))`)
		if strings.TrimSpace(got) != want {
			t.Errorf("%s exports %s, want %s", entry, got, want)
		}
	}
}

// node runs a script to its end and returns what it said.
func node(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("node %q (make setup installs what it needs): %v\n%s", args, err, out)
	}
	return string(out)
}

// event is one line of what the client tells.
type event struct {
	Event string          `json:"event"`
	Seq   uint64          `json:"seq"`
	Data  json.RawMessage `json:"data"`
	State string          `json:"state"`
	Code  string          `json:"code"`
	Kept  string          `json:"kept"`
}

// told is what a client tells, in order.
type told chan event

// next waits for the next event that is no state.
func (c told) next(t *testing.T) event {
	t.Helper()
	for {
		if e := c.any(t); e.Event != "state" {
			return e
		}
	}
}

func (c told) any(t *testing.T) event {
	t.Helper()
	select {
	case e := <-c:
		return e
	case <-time.After(patience):
		t.Fatal("the client tells nothing")
		return event{}
	}
}

func (c told) isState(t *testing.T, want string) {
	t.Helper()
	for {
		switch e := c.any(t); {
		case e.Event == "state" && e.State == want:
			return
		case e.Event != "state":
			t.Fatalf("the client told %+v, want the state %s", e, want)
		}
	}
}

func (c told) shows(t *testing.T, sent api.Receipt, data string) {
	t.Helper()
	if e := c.next(t); e.Event != "data" || e.Seq != sent.Seq || string(e.Data) != data {
		t.Fatalf("the client told %s %d %s, want the message %d %s", e.Event, e.Seq, e.Data, sent.Seq, data)
	}
}

func (c told) ends(t *testing.T, code string) event {
	t.Helper()
	e := c.next(t)
	if e.Event != "end" || e.Code != code {
		t.Fatalf("the client told %+v, want the end by %s", e, code)
	}
	return e
}

// deleteOnly deletes the one machine that is no default machine.
func deleteOnly(t *testing.T, g *fleetlinetest.Gateway, account string) {
	t.Helper()
	page, err := g.API.MachinePage(t.Context(), api.MachineQuery{Account: account})
	if err != nil || len(page.Machines) != 1 || page.Machines[0].Default {
		t.Fatalf("machines of the account: %+v, %v; want the one that was enrolled", page.Machines, err)
	}
	if err := g.API.DeleteMachine(t.Context(), page.Machines[0].ID); err != nil {
		t.Fatal(err)
	}
}

// without is the environment but for what is said anew.
func without(prefix string) (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, prefix) {
			env = append(env, e)
		}
	}
	return env
}
