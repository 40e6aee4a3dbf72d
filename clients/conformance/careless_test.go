package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// careless is the variable that makes a program of this test's binary.
const careless = "CARELESS_CLIENT"

// beCareless connects, shows what comes and answers pings, as somebody writes it in an hour: it keeps
// nothing, waits for nobody and knows no verdict.
func beCareless() {
	fmt.Fprintln(os.Stderr, "the key is "+os.Getenv("FLEETLINE_API_KEY"))
	for range 5 {
		connectCarelessly()
	}
}

func connectCarelessly() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, os.Getenv("FLEETLINE_SERVER"), nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	auth := fmt.Sprintf(`{"type":"auth","apiKey":%q,"v":1}`, os.Getenv("FLEETLINE_API_KEY"))
	_ = conn.Write(ctx, websocket.MessageText, []byte(auth))
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var f struct {
			Type string          `json:"type"`
			Seq  uint64          `json:"seq"`
			Data json.RawMessage `json:"data"`
		}
		_ = json.Unmarshal(frame, &f)
		switch f.Type {
		case "ping":
			_ = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`))
		case "data":
			_ = json.NewEncoder(os.Stdout).Encode(event{Event: "data", Seq: f.Seq, Data: f.Data})
		}
	}
}

func TestACarelessClientIsFoundOut(t *testing.T) {
	t.Setenv(careless, "yes")
	for name, want := range map[string]string{
		"auth/first":         "auth carries no machine with a hwid",
		"token/reconnect":    "came back with the key",
		"position/data":      "came back with the position none",
		"position/duplicate": "told the message 5, want 9",
		"return/drain":       "was asked to wait 2.5s",
		"life/ping":          "a key or a token was printed",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ourSuite(os.Args[0]).judge(t.Context(), named(t, name))
			if v.Wrong == "" || !strings.Contains(v.Wrong, want) {
				t.Errorf("the verdict is %q, want %q", v.Wrong, want)
			}
			if strings.Contains(v.Said, "flk_") {
				t.Error("the verdict shows the key")
			}
		})
	}
}

func named(t *testing.T, name string) Case {
	t.Helper()
	for _, c := range cases() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no case %s", name)
	return Case{}
}

func TestAProgramThatDoesNotStartIsSaidSo(t *testing.T) {
	v := ourSuite("/nonexistent/program").judge(t.Context(), named(t, "auth/first"))
	if !strings.Contains(v.Wrong, "does not start") {
		t.Errorf("the verdict is %q", v.Wrong)
	}
}

func TestTheCommandSaysHowItWentByItsExitCode(t *testing.T) {
	t.Setenv(careless, "yes")
	for _, c := range []struct {
		want int
		args []string
		says string
	}{
		{2, nil, ""},
		{2, []string{"-run", "(", "--", "x"}, ""},
		{0, []string{"-list"}, "position/gap"},
		{1, []string{"-run", "^no such case$", "--", os.Args[0]}, "0 cases"},
		{1, []string{"-run", "^position/data$", "-patience", "2m", "-json", "--", os.Args[0]}, `"passed":false`},
		{1, []string{"-run", "^position/data$", "-patience", "2m", "--", os.Args[0]}, "FAIL"},
	} {
		var out strings.Builder
		if code := run(t.Context(), c.args, &out, io.Discard); code != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q: exit code %d, want %d; it said %q", c.args, code, c.want, out.String())
		}
	}
}
