package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/fleetline/fleetline/api"
)

// evidence is everything a run has shown to anybody, in which no secret may stand.
type evidence struct {
	t     *testing.T
	b     *binary
	shown bytes.Buffer
}

// run runs a command of the operator or of a machine and keeps what it prints.
func (e *evidence) run(env []string, args ...string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "fleetline", args...)
	c.Env = slices.Concat(os.Environ(), e.b.env, env)
	out, _ := c.CombinedOutput() // failing is what most of them are here for
	fmt.Fprintf(&e.shown, "$ fleetline %s ...\n%s\n", args[0], out)
}

// call calls the operators' API and keeps the answer whole.
func (e *evidence) call(method, path, token, contentType, body string) {
	e.t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1:"+e.b.ops+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Fprintf(&e.shown, "%s %s %s %v\n%s\n", method, path, resp.Status, resp.Header, answer)
}

// talk opens a machine's connection, sends frames and keeps what comes back but auth_success, which
// is where the token belongs.
func (e *evidence) talk(frames ...string) (token string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, "ws://127.0.0.1:"+e.b.port, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer c.CloseNow()
	fmt.Fprintf(&e.shown, "%v\n", resp.Header)
	for _, f := range frames {
		_ = c.Write(ctx, websocket.MessageText, []byte(f))
		_, answer, err := c.Read(ctx)
		var success struct{ Type, SessionToken string }
		if json.Unmarshal(answer, &success) == nil && success.Type == "auth_success" {
			token = success.SessionToken
			continue
		}
		fmt.Fprintf(&e.shown, "%s %v\n", answer, err)
	}
	return token
}

func (e *evidence) file(name string) string {
	text, err := os.ReadFile(filepath.Join(e.b.dir, name))
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestNoKeyAndNoTokenIsShownAnywhereInAWholeRun(t *testing.T) {
	t.Parallel()
	b := newBinary(t)
	b.env = []string{"FLEETLINE_LOG_LEVEL=debug"}
	b.start()
	b.enrol()
	e := &evidence{t: t, b: b}
	admin := e.file("admin.token")
	server, state := "ws://127.0.0.1:"+b.port, t.TempDir()
	wrong := "flk_this-key-is-wrong-but-still-a-secret"

	token := e.talk(`{"type":"auth","v":1,"apiKey":"`+b.key+`","machine":{"hwid":"scan"}}`, `{"type":"data","id":"1","apiKey":"`+b.key+`"}`)
	e.talk(`{"type":"auth","v":1,"sessionToken":"` + token + `"}`)
	e.talk(`{"type":"auth","apiKey":"` + wrong + `"}`)
	e.talk(`{"type":"auth","apiKey":"` + b.key + `","apiKey":"` + b.key + `"}`)
	e.talk(`{"type":"auth","apiKey":["` + b.key + `"]}`)
	e.talk(`{"type":"auth","apiKey":"` + b.key)
	e.talk(`{"type":"` + b.key + `"}`)
	e.talk(`{"type":"auth","sessionToken":"` + token + `x"}`)
	e.talk(`{"type":"auth","sessionToken":"` + token + `","apiKey":"` + b.key + `"}`)
	e.run([]string{"FLEETLINE_API_KEY=" + wrong}, "connect", "--server", server, "--state-dir", state)
	for range 7 {
		e.talk(`{"type":"auth","apiKey":"` + wrong + `"}`)
	}
	e.run([]string{"FLEETLINE_API_KEY=" + b.key}, "connect", "--server", "http://127.0.0.1:1/?k=1", "--state-dir", state, "--nonsense")
	e.run([]string{"JWT_SECRET=changeme-changeme-changeme-changeme"}, "serve", "--data-dir", t.TempDir(), "--port", "70000")
	e.run([]string{"FLEETLINE_ADMIN_TOKEN=" + wrong}, "machine", "list", "--data-dir", b.dir)
	e.run(nil, "account", "list", "--data-dir", b.dir)
	e.run(nil, "machine", "list", "--data-dir", b.dir, "--json")
	e.run(nil, "publish", "--data-dir", b.dir, "--machine", b.key, "{}")
	e.call("GET", "/v1/machines", wrong, "", "")
	e.call("GET", "/v1/machines/"+"unknown", admin, "", "")
	e.call("POST", "/v1/accounts", admin, "application/json", `{"name":7,"apiKey":"`+b.key+`"}`)
	e.call("POST", "/v1/accounts", admin, "application/json", `{"apiKey":"`+b.key+`"`)
	e.call("POST", "/v1/messages", admin, "application/json", `{"to":{"machine":"`+b.key+`"},"data":1}`)
	e.call("POST", "/v1/messages", admin, "application/x-ndjson", `{"to":{"all":true},"data":"`+b.key)
	e.call("POST", "/v1/messages", admin, "text/plain", b.key)
	e.call("GET", "/metrics", admin, "", "")
	e.call("GET", "/debug/pprof/goroutine?debug=2", admin, "", "")
	e.call("GET", "/debug/pprof/cmdline", admin, "", "")
	e.call("GET", "/openapi.json", "", "", "")
	for m, err := range b.client().Machines(t.Context(), api.MachineQuery{}) {
		if err == nil {
			e.run(nil, "machine", "delete", "--data-dir", b.dir, m.ID)
		}
	}
	e.run([]string{"FLEETLINE_API_KEY=" + b.key}, "connect", "--server", server, "--state-dir", b.connectDir)
	b.stop()

	log, err := os.ReadFile(b.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("level=DEBUG")) {
		t.Error("nothing was logged at debug level: the scan would find nothing")
	}
	e.shown.Write(log)
	if token == "" || b.key == "" || admin == "" || e.shown.Len() < 10_000 {
		t.Fatalf("the run did not come to what it scans (%d bytes)", e.shown.Len())
	}
	for name, secret := range map[string]string{
		"the API key": b.key, "a wrong API key": wrong, "the session token": token, "its signature": token[strings.LastIndex(token, ".")+1:],
		"the operators' token": admin, "the token secret": e.file("jwt.secret"), "the first account's key": e.file("first-account.key"),
	} {
		if i := bytes.Index(e.shown.Bytes(), []byte(secret)); i >= 0 {
			t.Errorf("%s is shown: ...%s...", name, e.shown.Bytes()[max(0, i-200):i])
		}
	}
}
