package server_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

func TestFramesAreBoundedBothWaysAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{MaxFrameUp: 32 << 10, MaxFrameDown: 2 << 20})
	_, key := g.AddAccount("a")
	l, _ := login(t, g.URL, withHWID(key, "hw"))
	large := `"` + strings.Repeat("x", 3<<19) + `"` // 1.5 MiB: more than the default allows
	g.Publish(api.Target{All: true}, large)
	if f := l.next(); len(f.text("data")) != 3<<19 {
		t.Errorf("a message of 1.5 MiB came as %d bytes of %s", len(f.text("data")), f.text("type"))
	}
	_, err := g.API.Publish(t.Context(), api.Message{To: api.Target{All: true}, Data: []byte(`"` + strings.Repeat("x", 2<<20) + `"`)})
	if !errors.Is(err, api.CodeDataTooLarge) {
		t.Errorf("a message that does not fit the frame: %v", err)
	}
	l.say(frame{"type": "hello", "padding": strings.Repeat("x", 30<<10)})
	g.Publish(api.Target{All: true}, `1`)
	if f := l.next(); f["data"] != 1.0 {
		t.Errorf("after a frame within the bound: %v", f)
	}
	l.say(frame{"type": "hello", "padding": strings.Repeat("x", 32<<10)})
	want(t, "a frame over the bound", l.end(), "nothing 1009")
}
