package terminal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/internal/terminal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faces makes a screen of which both outputs can be read.
func faces(c terminal.Config) (s *terminal.Screen, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	c.Out, c.Err = out, err
	c.Now = func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }
	return terminal.New(c), out, err
}

func showAll(s *terminal.Screen) {
	s.Banner("v1")
	s.State(terminal.Connecting, "ws://gateway.example")
	s.State(terminal.Connected, "machine mch_1")
	s.Note("a note")
	s.Gap(7)
	s.Heartbeat()
	_ = s.Message(terminal.Message{Seq: 8, Epoch: "e", ID: "x", Data: []byte(`{"a": "b c"}`)})
	_ = s.Message(terminal.Message{Data: []byte(`"live"`)})
}

func TestAPipeGetsOnePlainLinePerMessageAndNothingElse(t *testing.T) {
	s, out, aside := faces(terminal.Config{})
	showAll(s)
	want := "2030-01-02T03:04:05Z #8 {\"a\":\"b c\"}\n2030-01-02T03:04:05Z live \"live\"\n"
	if out.String() != want {
		t.Errorf("standard output is %q, want %q", out, want)
	}
	want = "connecting: ws://gateway.example\nconnected: machine mch_1\na note\ngap: messages before #7 are gone and could not be recovered\nheartbeat\n"
	if aside.String() != want {
		t.Errorf("standard error is %q, want %q", aside, want)
	}
}

func TestATerminalGetsEverythingInOnePlace(t *testing.T) {
	s, out, aside := faces(terminal.Config{Terminal: true, NoColor: true})
	showAll(s)
	for _, want := range []string{`|_| |_\___\___|`, "● connected  machine mch_1", "♥ heartbeat", "! gap:", `#8      {"a":"b c"}`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, out)
		}
	}
	if aside.Len() != 0 {
		t.Errorf("standard error is %q, want nothing", aside)
	}
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("CLICOLOR_FORCE", "1") // the test's output is a buffer, taken for a terminal
	os.Unsetenv("NO_COLOR")
	for name, c := range map[string]struct {
		config terminal.Config
		want   bool
	}{
		"terminal":              {terminal.Config{Terminal: true}, true},
		"terminal and NO_COLOR": {terminal.Config{Terminal: true, NoColor: true}, false},
		"pipe":                  {terminal.Config{}, false},
		"terminal and JSON":     {terminal.Config{Terminal: true, JSON: true}, false},
	} {
		s, out, aside := faces(c.config)
		showAll(s)
		if got := strings.Contains(out.String()+aside.String(), "\x1b["); got != c.want {
			t.Errorf("%s: coloured is %v, want %v: %q", name, got, c.want, out)
		}
	}
}

func TestJSONIsOneObjectALineWithTheDataAsItWas(t *testing.T) {
	s, out, aside := faces(terminal.Config{JSON: true, Terminal: true})
	showAll(s)
	var types []string
	for line := range strings.Lines(out.String() + aside.String()) {
		var o struct {
			Type string
			Seq  uint64
			Data map[string]string
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil && o.Type != "data" {
			t.Errorf("%q is no JSON object: %v", line, err)
		}
		if o.Seq == 8 && o.Data["a"] != "b c" {
			t.Errorf("data is %v, want a: b c", o.Data)
		}
		types = append(types, o.Type)
	}
	if got, want := strings.Join(types, " "), "data data state state note gap heartbeat"; got != want {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

func TestNoMessageReachesTheTerminalRaw(t *testing.T) {
	// JSON forbids the controls below space in strings, but lets these through as they are.
	hostile := "\"\x7f\u009b2J \u202egnp.exe \u2028 \U000e0041 \xff caf\u00e9\""
	for _, c := range []terminal.Config{{Terminal: true, NoColor: true}, {}, {JSON: true}} {
		s, out, aside := faces(c)
		_ = s.Message(terminal.Message{Seq: 1, Data: []byte(hostile)})
		_ = s.Message(terminal.Message{Seq: 2, Data: []byte("\x1b]0;title\a no JSON")})
		s.State(terminal.Waiting, "\x1b[2J\r\nforged line")
		for _, r := range strings.ReplaceAll(out.String()+aside.String(), "\n", "") {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
				t.Errorf("%+v: %U was printed: %q %q", c, r, out, aside)
				break
			}
		}
		if !strings.Contains(out.String(), "café") {
			t.Errorf("%+v: letters were lost: %q", c, out)
		}
		if got := strings.Count(out.String()+aside.String(), "\n"); got != 3 {
			t.Errorf("%+v: three things were shown on %d lines", c, got)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[31m\u009b\u202e\xff\U000e0041\ufffd")
	f.Fuzz(func(t *testing.T, text string) {
		safe := terminal.Safe(text)
		for _, r := range safe {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("Safe(%q) = %q holds %U", text, safe, r)
			}
		}
		if terminal.Safe(safe) != safe {
			t.Fatalf("Safe(%q) is not safe", text)
		}
		quoted, _ := json.Marshal(text)
		var before, after string
		if json.Unmarshal(quoted, &before) != nil || json.Unmarshal([]byte(terminal.Safe(string(quoted))), &after) != nil || before != after {
			t.Fatalf("inside JSON, %q became %q", before, after)
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	s, out, _ := faces(terminal.Config{})
	m := terminal.Message{Seq: 1, Data: []byte(`{"load1":0.25,"memUsedBytes":123456789,"rxBytes":1,"txBytes":2}`)}
	for b.Loop() {
		out.Reset()
		_ = s.Message(m)
	}
}

func TestHeartbeatsInARowShareOneLineOfATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("CLICOLOR_FORCE", "1") // the test's output is a buffer, taken for a terminal
	os.Unsetenv("NO_COLOR")
	s, out, _ := faces(terminal.Config{Terminal: true})
	for range 3 {
		s.Heartbeat()
	}
	_ = s.Message(terminal.Message{Seq: 1, Data: []byte("1")})
	s.Heartbeat()
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("there are %d whole lines, want 2: %q", got, out)
	}
	if !strings.Contains(out.String(), "heartbeat, 3 in a row") {
		t.Errorf("they are not counted: %q", out)
	}
}

func TestWhatToDoIsSaidOnceForEachFaultInARow(t *testing.T) {
	s, _, aside := faces(terminal.Config{})
	refused := terminal.Problem{Fault: terminal.FaultRefused, Args: []any{"host:1"}}
	s.Waiting(refused, time.Second)
	s.Waiting(refused, 2*time.Second)
	s.Waiting(terminal.Problem{Fault: terminal.FaultTimeout, Args: []any{"host:1"}}, time.Second)
	s.Waiting(refused, time.Second)
	if got := strings.Count(aside.String(), "  hint: "); got != 3 {
		t.Errorf("it is said %d times, want 3:\n%s", got, aside)
	}
	if want := "waiting: host:1 refuses the connection: nothing listens there; next attempt in 2s\n"; !strings.Contains(aside.String(), want) {
		t.Errorf("%q is not in\n%s", want, aside)
	}
}

func TestTheEndSaysWhatTheGatewaySaidAndWhatToDo(t *testing.T) {
	e := terminal.Ending{Sentence: "it was deleted", Words: "Your machine\x1b[2J", Done: "cleared", Advice: "start again"}
	s, _, aside := faces(terminal.Config{})
	s.End(e)
	if want := "fleetline: it was deleted: Your machine\\u001b[2J\n  cleared\n  hint: start again\n"; aside.String() != want {
		t.Errorf("a pipe gets %q, want %q", aside, want)
	}
	s, _, aside = faces(terminal.Config{JSON: true})
	s.End(e)
	var line struct{ Type, Text, Said, Done, Hint string }
	if err := json.Unmarshal(aside.Bytes(), &line); err != nil || line.Type != "end" || line.Said != e.Words || line.Hint != e.Advice {
		t.Errorf("a program gets %+v, %v", line, err)
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAMessageThatCouldNotBeWrittenIsToldOf(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		s := terminal.New(terminal.Config{Out: fullDisk{}, Err: new(bytes.Buffer), JSON: asJSON})
		if s.Message(terminal.Message{Seq: 1, Data: []byte("1")}) == nil {
			t.Error("a message that was lost counts as shown")
		}
	}
}
