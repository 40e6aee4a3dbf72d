package wire_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// fixed is the block that clients in the field were built on. No change may touch it.
var fixed = []struct {
	text  string
	frame any // nil: the machine writes it
}{
	{`{"type":"auth","apiKey":"K"}`, wire.Auth{APIKey: "K"}},
	{`{"type":"auth_success","sessionToken":"JWT","message":"Authentication successful"}`, wire.AuthSuccess{SessionToken: "JWT", Message: wire.TextAuthenticated}},
	{`{"type":"auth_failed","message":"Invalid API Key"}`, wire.AuthFailed{Message: wire.TextInvalidKey}},
	{`{"type":"ping"}`, wire.Ping{}},
	{`{"type":"pong"}`, wire.Pong{}},
	{`{"type":"machine_deleted","message":"Your machine has been deleted. Please re-authenticate."}`, wire.MachineDeleted{Message: wire.TextMachineDeleted}},
	{`{"type":"error","message":"Rate limit exceeded. Slow down."}`, wire.Error{Message: "Rate limit exceeded. Slow down."}},
	{`{"type":"data","data":{"any":"JSON"}}`, wire.Data{Data: json.RawMessage(`{"any":"JSON"}`)}},
}

func TestTheFixedBlockIsWrittenToTheLetter(t *testing.T) {
	for _, f := range fixed {
		got, err := wire.Encode(f.frame)
		if err != nil || string(got) != f.text {
			t.Errorf("Encode(%T) = %s, %v; want %s", f.frame, got, err, f.text)
		}
	}
}

func TestTheFixedBlockStandsInTheSpecificationToTheLetter(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fixed {
		if !strings.Contains(string(spec), f.text) {
			t.Errorf("SPEC.md lacks %s", f.text)
		}
	}
}

func TestTheExtensionIsWrittenToTheLetter(t *testing.T) {
	at, seq := time.Date(2026, 1, 2, 15, 19, 5, 0, time.UTC), uint64(7)
	for want, frame := range map[string]any{
		`{"type":"auth","apiKey":"K","v":1,"machineId":"mch_1","machine":{"hostname":"h","os":"linux","arch":"arm64","cpuCores":4,"ramBytes":1024,"hwid":"w","version":"1"},"lastSeq":7,"epoch":"e"}`: wire.Auth{
			APIKey: "K", V: 1, MachineID: "mch_1", LastSeq: &seq, Epoch: "e",
			Machine: &wire.MachineInfo{Hostname: "h", OS: "linux", Arch: "arm64", CPUCores: 4, RAMBytes: 1024, HWID: "w", Version: "1"},
		},
		`{"type":"auth","sessionToken":"T","v":1}`:                               wire.Auth{SessionToken: "T", V: 1},
		`{"type":"pong","seq":7}`:                                                wire.Pong{Seq: &seq},
		`{"type":"system_info","machine":{"hostname":"h"}}`:                      wire.SystemInfo{Machine: wire.MachineInfo{Hostname: "h"}},
		`{"type":"disconnect"}`:                                                  wire.Disconnect{},
		`{"type":"ping","seq":7}`:                                                wire.Ping{Seq: &seq},
		`{"type":"gap","seq":7}`:                                                 wire.Gap{Seq: 7},
		`{"type":"data","seq":7,"id":"i","data":null}`:                           wire.Data{Seq: 7, ID: "i", Data: json.RawMessage("null")},
		`{"type":"error","message":"m","code":"rate_limited","retryAfterMs":90}`: wire.Error{Message: "m", Code: wire.CodeRateLimited, RetryAfterMs: 90},
		`{"type":"auth_failed","message":"m","code":"bad_token"}`:                wire.AuthFailed{Message: "m", Code: wire.CodeBadToken},
		`{"type":"token","sessionToken":"T","expiresAt":"2026-01-02T15:19:05Z"}`: wire.Token{SessionToken: "T", ExpiresAt: at},
		`{"type":"auth_success","sessionToken":"T","message":"Authentication successful","machineId":"m","sessionId":"s","expiresAt":"2026-01-02T15:19:05Z","heartbeatSeconds":30,"seq":7,"epoch":"e","recovered":false}`: wire.AuthSuccess{
			SessionToken: "T", Message: wire.TextAuthenticated,
			Welcome: &wire.Welcome{MachineID: "m", SessionID: "s", ExpiresAt: at, HeartbeatSeconds: 30, Seq: 7, Epoch: "e"},
		},
	} {
		got, err := wire.Encode(frame)
		if err != nil || string(got) != want {
			t.Errorf("Encode(%T):\n got %s, %v\nwant %s", frame, got, err, want)
		}
	}
}

func TestAPublishersTextIsNotEscaped(t *testing.T) {
	got, err := wire.Encode(wire.Data{Data: json.RawMessage(`"<a> & b"`)})
	if want := `{"type":"data","data":"<a> & b"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestOnlyFramesAreEncoded(t *testing.T) {
	if got, err := wire.Encode(struct{}{}); err == nil {
		t.Errorf("a struct that is no frame became %s", got)
	}
}
