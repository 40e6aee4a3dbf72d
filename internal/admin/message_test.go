package admin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/wire"
)

func TestAMessageIsReadAsItWasMeant(t *testing.T) {
	for body, want := range map[string]api.Message{
		`{"to":{"machine":"mch_1"},"data":{"a":[1,"}"]}}`:                                   {To: api.Target{Machine: "mch_1"}, Data: []byte(`{"a":[1,"}"]}`)},
		` { "to" : { "account" : "acc_1" } , "data" : null } `:                              {To: api.Target{Account: "acc_1"}, Data: []byte(`null`)},
		`{"data":-1.5e3,"to":{"all":true},"mode":"live"}`:                                   {To: api.Target{All: true}, Data: []byte(`-1.5e3`), Mode: api.Live},
		`{"to":{"all":true,"machine":null},"data":"\"\\","id":"a\u00e9\"","ttlSeconds":60}`: {To: api.Target{All: true}, Data: []byte(`"\"\\"`), ID: `aé"`, TTLSeconds: 60},
		`{"to":{"machine":"m","all":false},"data":[],"mode":"stored","id":null}`:            {To: api.Target{Machine: "m"}, Data: []byte(`[]`), Mode: api.Stored},
		`{"t\u006f":{"all":true},"data":1}`:                                                 {To: api.Target{All: true}, Data: []byte(`1`)},
	} {
		got, err := decodeMessage([]byte(body), wire.MaxDown)
		if err != nil {
			t.Errorf("decoding %s: %v", body, err)
			continue
		}
		if got.To != want.To || string(got.Data) != string(want.Data) || got.ID != want.ID || got.Mode != want.Mode || got.TTLSeconds != want.TTLSeconds {
			t.Errorf("decoding %s: got %+v, want %+v", body, got, want)
		}
	}
}

func TestAWrongMessageIsRefusedWithItsReason(t *testing.T) {
	for _, c := range []struct {
		body string
		code api.Code
		says string
	}{
		{``, api.CodeInvalidJSON, "not valid JSON"},
		{`{"to":{"all":true},"data":1`, api.CodeInvalidJSON, "at byte 27"},
		{`{"to":{"all":true},"data":1} {}`, api.CodeInvalidJSON, "not valid JSON"},
		{"{\"to\":{\"all\":true},\"data\":\"\xff\"}", api.CodeInvalidJSON, "UTF-8"},
		{`[]`, api.CodeInvalidRequest, "the body must be a JSON object"},
		{`null`, api.CodeInvalidRequest, "the body must be a JSON object"},
		{`{"data":1}`, api.CodeInvalidRequest, "to is missing"},
		{`{"to":null,"data":1}`, api.CodeInvalidRequest, "to is missing"},
		{`{"to":"all","data":1}`, api.CodeInvalidRequest, "to must be a JSON object"},
		{`{"to":{},"data":1}`, api.CodeInvalidRequest, "exactly one"},
		{`{"to":{"machine":""},"data":1}`, api.CodeInvalidRequest, "exactly one"},
		{`{"to":{"machine":"m","all":true},"data":1}`, api.CodeInvalidRequest, "exactly one"},
		{`{"to":{"machine":"m","account":"a"},"data":1}`, api.CodeInvalidRequest, "exactly one"},
		{`{"to":{"all":1},"data":1}`, api.CodeInvalidRequest, "to.all must be true or false"},
		{`{"to":{"machine":7},"data":1}`, api.CodeInvalidRequest, "to.machine must be a string"},
		{`{"to":{"group":"g"},"data":1}`, api.CodeUnknownField, "to.group"},
		{`{"to":{"all":true},"to":{"machine":"m"},"data":1}`, api.CodeInvalidRequest, "to stands in the body twice"},
		{`{"to":{"all":true,"all":true},"data":1}`, api.CodeInvalidRequest, "to.all stands in the body twice"},
		{`{"to":{"all":true}}`, api.CodeInvalidRequest, "data is missing"},
		{`{"to":{"all":true},"data":1,"Data":2}`, api.CodeUnknownField, "no field Data"},
		{`{"to":{"all":true},"data":1,"flk_secret":2}`, api.CodeUnknownField, "(not shown)"},
		{`{"to":{"all":true},"data":1,"id":5}`, api.CodeInvalidRequest, "id must be a string"},
		{`{"to":{"all":true},"data":1,"id":"a\nb"}`, api.CodeInvalidRequest, "control characters"},
		{`{"to":{"all":true},"data":1,"id":"` + strings.Repeat("i", 257) + `"}`, api.CodeInvalidRequest, "longer than 256"},
		{`{"to":{"all":true},"data":1,"mode":"later"}`, api.CodeInvalidRequest, "mode must be"},
		{`{"to":{"all":true},"data":1,"mode":"live","ttlSeconds":5}`, api.CodeInvalidRequest, "ttlSeconds"},
		{`{"to":{"all":true},"data":1,"ttlSeconds":0}`, api.CodeInvalidRequest, "ttlSeconds must be"},
		{`{"to":{"all":true},"data":1,"ttlSeconds":1.5}`, api.CodeInvalidRequest, "ttlSeconds must be"},
		{`{"to":{"all":true},"data":1,"ttlSeconds":1e99}`, api.CodeInvalidRequest, "ttlSeconds must be"},
		{`{"to":{"all":true},"data":"` + strings.Repeat("d", 4096) + `"}`, api.CodeDataTooLarge, "fit one frame"},
	} {
		_, err := decodeMessage([]byte(c.body), 4096)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Detail, c.says) {
			t.Errorf("decoding %.80q: got %v, want %s saying %q", c.body, err, c.code, c.says)
		}
	}
}

func TestTheLargestMessageThatIsTakenFitsOneFrame(t *testing.T) {
	const most = 1024
	for _, id := range []string{"", strings.Repeat(`"`, api.MaxMessageID)} {
		quoted, _ := json.Marshal(id)
		largest := 0
		for n := range most {
			body := `{"to":{"all":true},"id":` + string(quoted) + `,"data":"` + strings.Repeat("d", n) + `"}`
			if m, err := decodeMessage([]byte(body), most); err == nil {
				largest = len(wire.AppendData(nil, wire.MaxSeq, m.ID, m.Data))
			}
		}
		if largest != most {
			t.Errorf("with an id of %d bytes the largest frame is %d bytes, want %d", len(id), largest, most)
		}
	}
}

// FuzzMessage holds that what is taken means to encoding/json what it means here, that it is one
// frame of valid JSON, and that no value comes back in a refusal.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"to":{"machine":"mch_1"},"data":{"a":[1,"}"]},"id":"x","mode":"stored","ttlSeconds":60}`,
		`{"to":{"all":true},"data":"\ud800","mode":"live"}`,
		`{"to":{"account":"a\"b"},"data":[[[]]],"x":1}`,
		"{\"to\":{},\"to\":{},\"data\":\"\xff\"}", `[`, `{`, `{"a"`, `{"a":`, `"`, `null`, ` `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decodeMessage(body, 4096)
		if err != nil {
			if e := new(api.Error); !errors.As(err, &e) || e.Code.Hint() == "" || len(e.Detail) > 200 {
				t.Errorf("refusing %q: %v", body, err)
			}
			return
		}
		var want api.Message
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("took %q, but encoding/json says: %v", body, err)
		}
		if m.To != want.To || m.ID != want.ID || m.Mode != want.Mode || m.TTLSeconds != want.TTLSeconds || string(m.Data) != string(want.Data) && want.Data != nil {
			t.Errorf("took %q as %+v, encoding/json as %+v", body, m, want)
		}
		frame := wire.AppendData(nil, wire.MaxSeq, m.ID, m.Data)
		if len(frame) > 4096 || !json.Valid(frame) || !utf8.Valid(frame) || targets(m.To) != 1 {
			t.Errorf("took %q, which makes no good frame: %q", body, frame)
		}
	})
}

func BenchmarkDecodeMessage(b *testing.B) {
	body := []byte(`{"to":{"machine":"mch_abcdefgh_0123456789abcdef"},"data":{"load1":0.5,"memUsedBytes":123456789,"note":"a text of some length"},"id":"m-123"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := decodeMessage(body, wire.MaxDown); err != nil {
			b.Fatal(err)
		}
	}
}
