package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestWhatAMachineWritesIsReadAsItWasMeant(t *testing.T) {
	seq, zero := uint64(wire.MaxSeq), uint64(0)
	for _, want := range []wire.Up{
		wire.Auth{APIKey: "key"},
		wire.Auth{SessionToken: "token", V: wire.Version, MachineID: "mch_1", LastSeq: &seq, Epoch: "e"},
		wire.Auth{APIKey: "key", V: wire.Version, LastSeq: &zero, Epoch: "e", Machine: &wire.MachineInfo{
			Hostname: "h", OS: "o", Arch: "a", CPUCores: 1, RAMBytes: wire.MaxSeq, HWID: "w", Version: "v",
		}},
		wire.Pong{},
		wire.Pong{Seq: &zero},
		wire.Pong{Seq: &seq},
		wire.SystemInfo{Machine: wire.MachineInfo{Hostname: "h", CPUCores: 3}},
		wire.Disconnect{},
		wire.Unserved{Type: "data"},
	} {
		frame, err := wire.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.ParseUp(frame); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %+v, %v", frame, got, err)
		}
	}
}

func TestWhatAGatewayWritesIsReadAsItWasMeant(t *testing.T) {
	at, seq := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), uint64(9)
	for _, want := range []wire.Down{
		wire.AuthSuccess{SessionToken: "t", Message: "m"},
		wire.AuthSuccess{SessionToken: "t", Message: "m", Welcome: &wire.Welcome{
			MachineID: "m", SessionID: "s", ExpiresAt: at, HeartbeatSeconds: 0.25, Seq: 3, Epoch: "e", Recovered: true, Acked: "a",
		}},
		wire.AuthFailed{Message: "m", Code: wire.CodeBadKey, RetryAfterMs: 5},
		wire.Error{Message: "m", Code: wire.CodeHeld, RetryAfterMs: 5},
		wire.Ping{},
		wire.Ping{Seq: &seq},
		wire.Data{Data: json.RawMessage("null")},
		wire.Data{Seq: wire.MaxSeq, ID: "\u2028<&>\"", Data: json.RawMessage(`[1,{"a":"<"}]`)},
		wire.Gap{Seq: 4},
		wire.Token{SessionToken: "t", ExpiresAt: at},
		wire.MachineDeleted{Message: "m"},
	} {
		frame, err := wire.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.ParseDown(frame); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %+v, %v", frame, got, err)
		}
	}
}

func TestAppendDataWritesWhatEncodeWrites(t *testing.T) {
	for _, d := range []wire.Data{
		{Data: json.RawMessage(`{"a":1}`)},
		{Seq: 1, Data: json.RawMessage(`null`)},
		{Seq: wire.MaxSeq, ID: `quote " and <tag>`, Data: json.RawMessage(`"x"`)},
	} {
		want, err := wire.ParseDown(wire.AppendData(nil, d.Seq, d.ID, d.Data))
		if err != nil || !reflect.DeepEqual(want, wire.Down(d)) {
			t.Errorf("%+v became %+v, %v", d, want, err)
		}
	}
	if got := string(wire.AppendData([]byte("head"), 0, "", []byte("1"))); got != `head{"type":"data","data":1}` {
		t.Errorf("got %s", got)
	}
}

func TestKeysAndTokensAreNotPrinted(t *testing.T) {
	a := wire.Auth{APIKey: "secret-key", SessionToken: "secret-token"}
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(form, a); got != "auth ***" {
			t.Errorf("%s prints %s", form, got)
		}
	}
}

func TestAuthSuccessIsWrittenAsItsTagsSay(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for _, odd := range []string{"", "plain", `"\`, "<&>", "\u2028é\x00\n", "\xff", "\x7f"} {
		for _, hello := range []wire.AuthSuccess{
			{SessionToken: odd, Message: odd},
			{SessionToken: odd, Message: odd, Welcome: &wire.Welcome{
				MachineID: odd, SessionID: odd, ExpiresAt: at, HeartbeatSeconds: 0.25, Seq: wire.MaxSeq, Epoch: odd, Recovered: true, Acked: odd,
			}},
			{Welcome: &wire.Welcome{ExpiresAt: at.Truncate(time.Second), HeartbeatSeconds: 30}},
		} {
			var want bytes.Buffer
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(hello); err != nil {
				t.Fatal(err)
			}
			tagged := `{"type":"auth_success",` + strings.TrimSpace(want.String())[1:]
			if got := string(wire.MustEncode(hello)); got != tagged {
				t.Errorf("got  %s\nwant %s", got, tagged)
			}
		}
	}
}
