// Package terminal is what a connected machine shows a person: the banner, the states of the
// connection and the messages.
//
// What is printed follows three rules. On a terminal everything goes to one place, in colour unless
// NO_COLOR is set. In a pipe messages alone go to standard output, one plain line each, and the rest
// goes to standard error. As JSON everything goes to standard output, one object a line.
//
// Whatever came over the network is printed through Safe, so no message can move the cursor, set a
// title, hide text or forge a line. The package shows; it knows neither gateway nor key.
package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Config says where and how to show things.
type Config struct {
	Out, Err io.Writer
	// JSON asks for one JSON object a line, for programs.
	JSON bool
	// Terminal says that Out is a terminal; IsTerminal tells.
	Terminal bool
	// NoColor leaves colours out on a terminal too.
	NoColor bool
	// Now gives the time that lines carry; nil means time.Now.
	Now func() time.Time
}

// Screen shows one machine's connection. Its methods may be called from several goroutines.
type Screen struct {
	// Fixed after construction.
	c     Config
	paint palette

	mu sync.Mutex // guards what is written: lines stay whole
}

// New makes a Screen.
func New(c Config) *Screen {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Screen{c: c, paint: palette{c.Terminal && !c.NoColor && !c.JSON}}
}

// IsTerminal tells whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// State is a state of the connection.
type State string

// States of a connection.
const (
	Connecting State = "connecting"
	Connected  State = "connected"
	Waiting    State = "waiting" // cut off, and going to come back
	Closed     State = "closed"
)

// Message is one message from the gateway.
type Message struct {
	Seq   uint64 // 0: live only
	Epoch string
	ID    string
	Data  []byte // JSON
}

// Banner shows the name. It is for people alone.
func (s *Screen) Banner() {
	if s.c.JSON || !s.c.Terminal {
		return
	}
	s.print(s.c.Out, "\n"+s.paint.banner(banner)+"\n\n")
}

// State shows that the connection is now in state st. The detail says what a person wants to know
// of it; it may be empty.
func (s *Screen) State(st State, detail string) {
	if s.c.JSON {
		s.printJSON(stateLine{"state", s.c.Now().UTC(), st, detail})
		return
	}
	line := string(st)
	if detail != "" {
		line += ": " + Safe(detail)
	}
	s.print(s.aside(), s.paint.state(st, line)+"\n")
}

// Gap shows that history before seq is gone.
func (s *Screen) Gap(seq uint64) {
	if s.c.JSON {
		s.printJSON(gapLine{"gap", s.c.Now().UTC(), seq})
		return
	}
	s.print(s.aside(), s.paint.warning(fmt.Sprintf("gap: messages before #%d are gone", seq))+"\n")
}

// Message shows m.
func (s *Screen) Message(m Message) {
	if s.c.JSON {
		s.printJSON(messageLine{"data", s.c.Now().UTC(), m.Seq, m.Epoch, m.ID, safeJSON(m.Data)})
		return
	}
	position := "live"
	if m.Seq != 0 {
		position = fmt.Sprintf("#%d", m.Seq)
	}
	at := s.c.Now().Local().Format(time.TimeOnly)
	if !s.c.Terminal {
		at = s.c.Now().UTC().Format(time.RFC3339)
	}
	s.print(s.c.Out, s.paint.quiet(at+" "+position)+" "+string(safeJSON(m.Data))+"\n")
}

// Note shows a sentence of the program itself, with a line of its own for each line of text.
func (s *Screen) Note(text string) {
	if s.c.JSON {
		s.printJSON(noteLine{"note", s.c.Now().UTC(), text})
		return
	}
	s.print(s.aside(), text+"\n")
}

// aside is where things go that are not messages.
func (s *Screen) aside() io.Writer {
	if s.c.Terminal {
		return s.c.Out
	}
	return s.c.Err
}

// print ignores errors: there is nobody left to tell when the terminal is gone.
func (s *Screen) print(w io.Writer, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paint.write(w, text)
}
