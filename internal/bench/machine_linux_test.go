package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/socket/frame"
	"github.com/fleetline/fleetline/wire"
)

func TestFramesAreToldApartByTheirFirstLetters(t *testing.T) {
	d, err := dialectOf("fleetline")
	if err != nil {
		t.Fatal(err)
	}
	for want, frames := range map[kind][]any{
		kindWelcome: {wire.AuthSuccess{Message: wire.TextAuthenticated}, wire.AuthSuccess{Welcome: &wire.Welcome{}}},
		kindRefused: {wire.AuthFailed{}, wire.Error{}},
		kindPing:    {wire.Ping{}, wire.Ping{Seq: new(uint64)}},
		kindData:    {wire.Data{Data: json.RawMessage("1")}},
		kindDeleted: {wire.MachineDeleted{}},
		kindToken:   {wire.Token{}},
		kindOther:   {wire.Gap{}},
	} {
		for _, f := range frames {
			if got := d.kindOf(wire.MustEncode(f)); got != want {
				t.Errorf("%s is of kind %d, want %d", wire.MustEncode(f), got, want)
			}
		}
	}
	for _, text := range []string{"", "{}", `{"type":"`, `{"type":"a`} {
		if got := d.kindOf([]byte(text)); got != kindOther {
			t.Errorf("%q is of kind %d", text, got)
		}
	}
}

func TestCentrifugeFramesAreToldApartAndCounted(t *testing.T) {
	d, err := dialectOf("centrifuge")
	if err != nil {
		t.Fatal(err)
	}
	push := `{"push":{"channel":"all","pub":{"data":1}}}`
	for text, want := range map[string]kind{
		"{}": kindPing, push: kindData, `{"id":1,"connect":{}}`: kindWelcome, `{"id":1,"error":{}}`: kindRefused, `{"id":2}`: kindOther,
	} {
		if got := d.kindOf([]byte(text)); got != want {
			t.Errorf("%s is of kind %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int64{push: 1, push + "\n": 1, push + "\n" + push: 2} {
		if got := d.messages([]byte(text)); got != want {
			t.Errorf("%q carries %d messages, want %d", text, got, want)
		}
	}
}

func TestAMachineSaysWhatAGatewayReads(t *testing.T) {
	m := &machine{number: 7, key: "flk_x", id: "mch_y", token: "t"}
	for _, useToken := range []bool{false, true} {
		var p frame.Parser
		ev, _, err := p.Next(&frame.Rules{MaxMessage: wire.MaxUp}, authFrame(m, useToken))
		if err != nil {
			t.Fatal(err)
		}
		up, err := wire.ParseUp(ev.Payload)
		a, ok := up.(wire.Auth)
		if err != nil || !ok || a.MachineID != "mch_y" || a.V != 1 || (a.SessionToken == "t") != useToken || (a.Machine != nil) == useToken {
			t.Errorf("with token %v: got %T, %v", useToken, up, err)
		}
	}
	if text := fmt.Sprintf("%v %+v", enlistment{Key: "flk_secret"}, api.Key("flk_secret")); strings.Contains(text, "flk_secret") {
		t.Errorf("a key is printed: %s", text)
	}
}

// TestFramesAreCountedHoweverTheyAreCut feeds a stream in slices of many sizes.
func TestFramesAreCountedHoweverTheyAreCut(t *testing.T) {
	d, err := dialectOf("fleetline")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ step, largest int }{{1, 200}, {2, 200}, {3, 200}, {7, 300}, {1000, 70_000}, {1 << 20, 70_000}} {
		var stream []byte
		for _, size := range []int{0, 100, c.largest, 3} {
			data := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
			stream = frame.AppendText(stream, wire.MustEncode(wire.Gap{Seq: 1}))
			stream = frame.AppendText(stream, wire.AppendData(nil, 5, "", data))
		}
		w := newWorker(&bytes.Buffer{})
		w.server.dialect, w.listeners, w.turnAt = d, 4, 4
		m := &machine{stage: live}
		for rest := stream; len(rest) > 0; {
			n := min(c.step, len(rest))
			w.feed(m, append(bytes.Clone(m.part), rest[:n]...))
			rest = rest[n:]
		}
		if w.counted != 4 || w.turns != 1 || len(m.part) != 0 {
			t.Errorf("in slices of %d: %d messages, %d turns, %d bytes left", c.step, w.counted, w.turns, len(m.part))
		}
	}
}

func TestAMessageCarriesItsTime(t *testing.T) {
	const at = int64(123456789012345)
	for _, size := range []int{20, 128, 1024} {
		data := stamped(size, at)
		if !json.Valid(data) || len(data) < size || size > 40 && len(data) != size {
			t.Errorf("of size %d: %s", size, data)
		}
		if got := numberOf(wire.AppendData(nil, 17, "", data), stampField); got != at {
			t.Errorf("of size %d: the time is %d, want %d", size, got, at)
		}
	}
}

func TestAMetricIsTheSumOfItsSeries(t *testing.T) {
	const text = "# HELP a_total x\n# TYPE a_total counter\na_total{x=\"1 2\"} 3\na_total{x=\"}\"} 4.5\na_total_more 9\nb 1e3\n"
	for name, want := range map[string]float64{"a_total": 7.5, "b": 1000} {
		if got, found := addUp(strings.NewReader(text), name); !found || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, found, want)
		}
	}
	if _, found := addUp(strings.NewReader(text), "a"); found {
		t.Error("a metric was found that is not there")
	}
}
