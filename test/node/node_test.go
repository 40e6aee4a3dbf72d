// Package node_test runs a client in another language against a real gateway.
package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAClientThatKnowsOnlyTheFixedBlockWorks(t *testing.T) {
	// Without its pongs the client would be cut after one and a half heartbeats.
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Heartbeat: time.Second})
	account, key := g.AddAccount("node")
	client := start(t, g.URL, key)

	welcome := client.frame(t)
	if got, want := fields(t, welcome), []string{"message", "sessionToken", "type"}; !slices.Equal(got, want) {
		t.Fatalf("auth_success has the fields %q, want %q", got, want)
	}
	if !strings.Contains(welcome, `"message":"`+wire.TextAuthenticated+`"`) {
		t.Errorf("the first frame is %q, want auth_success", strings.Split(welcome, `"sessionToken"`)[0])
	}

	for range 3 {
		client.wants(t, `{"type":"ping"}`)
	}

	g.Publish(api.Target{Account: account}, `{"hello":["machine",1.50]}`)
	client.wantsAmongPings(t, `{"type":"data","data":{"hello":["machine",1.50]}}`)

	page, err := g.API.MachinePage(t.Context(), api.MachineQuery{Account: account})
	if err != nil || len(page.Machines) != 1 || !page.Machines[0].Default {
		t.Fatalf("machines of the account are %+v, %v; want its default machine", page.Machines, err)
	}
	if err := g.API.DeleteMachine(t.Context(), page.Machines[0].ID); err != nil {
		t.Fatal(err)
	}
	client.wantsAmongPings(t, `{"type":"machine_deleted","message":"`+wire.TextMachineDeleted+`"}`)
	if got, want := client.line(t), "close 4500"; got != want {
		t.Errorf("after the deletion came %q, want %q", got, want)
	}
}

func TestAnUnknownKeyIsRefusedInTheFixedWords(t *testing.T) {
	g := fleetlinetest.Start(t)
	client := start(t, g.URL, "flk_nobody")
	client.wants(t, `{"type":"auth_failed","message":"`+wire.TextInvalidKey+`"}`)
	if got, want := client.line(t), "close 4501"; got != want {
		t.Errorf("after the refusal came %q, want %q", got, want)
	}
}

// client is the Node process; its lines are what it prints.
type client struct{ lines *bufio.Scanner }

func start(t *testing.T, url, key string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	node := exec.CommandContext(ctx, "node", "client.js", url)
	node.Env = append(os.Environ(), "FLEETLINE_API_KEY="+key)
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("starting the client (make setup installs what it needs): %v", err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill() // it has ended by itself unless the test failed
		_, _ = io.Copy(io.Discard, out)
		_ = node.Wait()
	})
	return &client{bufio.NewScanner(out)}
}

func (c *client) line(t *testing.T) string {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("the client ended: %v", c.lines.Err())
	}
	return c.lines.Text()
}

func (c *client) frame(t *testing.T) string {
	t.Helper()
	line := c.line(t)
	text, ok := strings.CutPrefix(line, "frame ")
	if !ok {
		t.Fatalf("the client says %q, want a frame", line)
	}
	return text
}

func (c *client) wants(t *testing.T, want string) {
	t.Helper()
	if got := c.frame(t); got != want {
		t.Fatalf("the frame is %s, want %s", got, want)
	}
}

func (c *client) wantsAmongPings(t *testing.T, want string) {
	t.Helper()
	got := c.frame(t)
	for got == `{"type":"ping"}` {
		got = c.frame(t)
	}
	if got != want {
		t.Fatalf("the frame is %s, want %s", got, want)
	}
}

func fields(t *testing.T, frame string) []string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(frame), &object); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(object))
}
