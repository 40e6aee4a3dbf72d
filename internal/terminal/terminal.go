// Package terminal is what a connected machine shows a person: the banner, the status check, the
// states of the connection, heartbeats and messages, in English or Chinese.
//
// What is printed follows four rules. On a terminal everything goes to one place, in colour unless
// NO_COLOR is set. In a pipe messages alone go to standard output, one plain line each, and the rest
// goes to standard error. With JSON standard output has one object a line for each message and
// nothing else; what goes to standard error is JSON too, unless a person reads it there. Every text
// stands in words.go or faults.go, in every language.
//
// Whatever came over the network is printed through Safe, so no message can move the cursor, set a
// title, hide text or forge a line. The package shows; it knows neither gateway nor key.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// Config says where and how to show things.
type Config struct {
	Out, Err io.Writer
	// Terminal and ErrTerminal say that Out and Err are terminals; IsTerminal tells.
	Terminal, ErrTerminal bool
	// JSON asks for one JSON object a line, for programs.
	JSON bool
	// NoColor leaves colours out on a terminal too.
	NoColor bool
	// ASCII leaves out the signs that not every terminal can show; IsUTF8 tells.
	ASCII bool
	// Language is what the person reads.
	Language Language
	// Width of the terminal in columns; 0: it is asked, and 80 if it does not say.
	Width int
	// Now gives the time that lines carry; nil means time.Now.
	Now func() time.Time
}

// Screen shows one machine's connection. Its methods may be called from several goroutines.
type Screen struct {
	// Fixed after construction.
	c     Config
	signs map[sign]string
	data  face // where messages go
	aside face // where everything else goes

	mu     sync.Mutex // guards what is written, so lines stay whole, and the fields below
	beats  int        // heartbeats shown in the line that is not ended yet; 0: there is none
	advice Fault      // the one that was explained last
}

// face is one of the two places to print at.
type face struct {
	w        io.Writer
	terminal bool
	paint    palette
}

// New makes a Screen.
func New(c Config) *Screen {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Screen{c: c, signs: fancySigns}
	if c.ASCII {
		s.signs = plainSigns
	}
	s.data = c.face(c.Out, c.Terminal && !c.JSON)
	s.aside = s.data
	if !s.data.terminal {
		s.aside = c.face(c.Err, c.ErrTerminal)
	}
	return s
}

func (c Config) face(w io.Writer, terminal bool) face {
	return face{w: w, terminal: terminal, paint: newPalette(w, terminal && !c.NoColor)}
}

// IsTerminal tells whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Language is the one that the person reads.
func (s *Screen) Language() Language { return s.c.Language }

// HasPerson tells whether somebody may be looking.
func (s *Screen) HasPerson() bool { return s.aside.terminal }

// State is a state of the connection.
type State string

// States of a connection.
const (
	Connecting State = "connecting"
	Connected  State = "connected"
	Waiting    State = "waiting" // cut off, and going to come back
	Closed     State = "closed"
)

var stateWords = map[State]Word{Connecting: WordConnecting, Connected: WordConnected, Waiting: WordWaiting, Closed: WordClosed}

// Message is one message from the gateway.
type Message struct {
	Seq   uint64 // 0: live only
	Epoch string
	ID    string
	Data  []byte // JSON
}

// Banner shows the name, and what else belongs under it. It is for people alone.
func (s *Screen) Banner(version string) {
	if s.c.JSON || !s.aside.terminal {
		return
	}
	p := s.aside.paint
	s.tell("\n" + p.banner(banner) + "\n  " + p.quiet(s.say(WordTagline)+" · "+version) + "\n\n")
}

// State shows that the connection is now in state st. The detail says what a person wants to know
// of it; it may be empty.
func (s *Screen) State(st State, detail string) {
	if s.asJSON() {
		s.tellJSON(stateLine{"state", s.c.Now().UTC(), st, detail})
		return
	}
	mark := stateSigns[st]
	if st == Closed && detail == "" {
		mark = signLeft
		if s.aside.paint.on {
			s.tell("\r\x1b[K") // over the ^C that the terminal shows
		}
	}
	s.event(mark, s.say(stateWords[st]), Safe(detail))
}

// Waiting shows that the line is down for as long as delay says, why, and what to do about it. What
// to do is said once for each fault in a row.
func (s *Screen) Waiting(p Problem, delay time.Duration) {
	sentence := s.say(WordNextAttempt, p.Sentence(s.c.Language), delay.Round(100*time.Millisecond))
	if s.asJSON() {
		s.tellJSON(stateLine{"state", s.c.Now().UTC(), Waiting, sentence})
		return
	}
	s.event(stateSigns[Waiting], s.say(WordWaiting), Safe(sentence))
	if s.isNew(p.Fault) {
		s.hint(p.Advice(s.c.Language))
	}
}

func (s *Screen) isNew(f Fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.advice
	s.advice = f
	return f != was
}

// Heartbeat shows that the gateway and this machine have heard of each other. On a terminal those in
// a row share one line.
func (s *Screen) Heartbeat() {
	if s.asJSON() {
		s.tellJSON(heartbeatLine{"heartbeat", s.c.Now().UTC()})
		return
	}
	if !s.aside.paint.on {
		s.event(signHeart, s.say(WordHeartbeat), "")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats++
	text := s.say(WordHeartbeat)
	again := ""
	if s.beats > 1 {
		text, again = s.say(WordHeartbeats, s.beats), "\r\x1b[K"
	}
	s.aside.write(again + s.clock() + s.aside.paint.quiet(s.signs[signHeart]+" "+text))
}

// Gap shows that history before seq is gone.
func (s *Screen) Gap(seq uint64) {
	if s.asJSON() {
		s.tellJSON(gapLine{"gap", s.c.Now().UTC(), seq})
		return
	}
	s.event(signNotice, s.say(WordGap, seq), "")
}

// Message shows m. It fails if m could not be written, and so was not handed on to anybody.
func (s *Screen) Message(m Message) error {
	if s.c.JSON {
		line, err := EncodeJSON(messageLine{"data", s.c.Now().UTC(), m.Seq, m.Epoch, m.ID, safeJSON(m.Data)})
		if err != nil {
			return err
		}
		return s.hand(string(line) + "\n")
	}
	position := s.Position(m)
	data := string(safeJSON(m.Data))
	if !s.data.terminal {
		return s.hand(s.c.Now().UTC().Format(time.RFC3339) + " " + position + " " + data + "\n")
	}
	p := s.data.paint
	position = pad(position, 6)
	margin := clockColumns + lipgloss.Width(position) + 2
	data = breakJSON(data, s.width()-margin, "\n"+strings.Repeat(" ", margin))
	return s.hand(s.clock() + p.position(position) + "  " + p.json(data) + "\n")
}

// Position is how m is called.
func (s *Screen) Position(m Message) string {
	if m.Seq == 0 {
		return s.say(WordLive)
	}
	return fmt.Sprintf("#%d", m.Seq)
}

// Note shows a sentence of the program itself, with a line of its own for each line of text.
func (s *Screen) Note(text string) {
	if s.asJSON() {
		s.tellJSON(noteLine{"note", s.c.Now().UTC(), text})
		return
	}
	s.tell(text + "\n")
}

// Warn shows, loudly, a title and what it means.
func (s *Screen) Warn(title, meaning Word) {
	switch {
	case s.asJSON():
		s.tellJSON(noteLine{"warning", s.c.Now().UTC(), s.say(title) + ": " + s.say(meaning)})
	case !s.aside.terminal:
		s.tell("WARNING: " + s.say(title) + ": " + s.say(meaning) + "\n")
	default:
		s.tell("  " + s.aside.paint.alarm(" "+s.say(title)+" ") + "\n" + s.wrapped(s.say(meaning), 2) + "\n\n")
	}
}

// Handed shows what became of a message that a program was given: how it failed and when it is
// handed over again, or, if how is empty, that it was taken.
func (s *Screen) Handed(m Message, how string, again time.Duration) {
	of := s.Position(m)
	if how == "" {
		if s.aside.terminal { // a pipe has the message's line, and no need of a second one
			s.event(signOK, s.say(WordExecDone, of), "")
		}
		return
	}
	text := s.say(WordExecFailed, of, Safe(how), again.Round(100*time.Millisecond))
	if s.asJSON() {
		s.tellJSON(noteLine{"exec", s.c.Now().UTC(), text})
		return
	}
	s.event(signNotice, text, "")
}

// Ending is why everything is over.
type Ending struct {
	Sentence string
	Words    string // the gateway's own
	Done     string // what was done about it
	Advice   string // what a person can do now
}

// End shows why everything is over.
func (s *Screen) End(e Ending) {
	sentence, words, done := Safe(e.Sentence), Safe(e.Words), Safe(e.Done)
	switch {
	case s.asJSON():
		s.tellJSON(endLine{"end", s.c.Now().UTC(), e.Sentence, e.Words, e.Done, e.Advice})
		return
	case !s.aside.terminal:
		if words != "" {
			sentence += ": " + words
		}
		s.tell("fleetline: " + sentence + "\n")
		if done != "" {
			s.tell("  " + done + "\n")
		}
	default:
		s.tell("\n  " + s.aside.paint.of(signFail, s.signs[signFail]+" "+s.wrapped(sentence, 4)[4:]) + "\n")
		for _, text := range []string{words, done} {
			if text != "" {
				s.tell(s.wrapped(text, 4) + "\n")
			}
		}
	}
	s.hint(e.Advice)
	s.Space()
}

// hint shows what to do about what was shown last.
func (s *Screen) hint(advice string) {
	switch {
	case advice == "":
	case s.aside.terminal:
		s.tell(s.aside.paint.quiet(s.wrapped(Safe(advice), 4)) + "\n")
	default:
		s.tell("  " + s.say(WordHint) + Safe(advice) + "\n")
	}
}

// event shows one line of the connection's life.
func (s *Screen) event(mark sign, what, detail string) {
	if !s.aside.terminal {
		if detail != "" {
			what += ": " + detail
		}
		s.tell(what + "\n")
		return
	}
	p := s.aside.paint
	line := s.clock() + p.of(mark, s.signs[mark]+" "+what)
	if detail != "" {
		line += "  " + detail
	}
	s.tell(line + "\n")
}

func (s *Screen) say(w Word, args ...any) string { return s.c.Language.Say(w, args...) }

// clockColumns is the width of what clock says.
const clockColumns = 10

// clock is the time in front of a line on a terminal.
func (s *Screen) clock() string {
	return s.data.paint.quiet(s.c.Now().Local().Format(time.TimeOnly)) + "  "
}

// tell prints aside and ignores errors: there is nobody left to tell when the terminal is gone.
func (s *Screen) tell(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLine()
	s.aside.write(text)
}

// hand prints a message.
func (s *Screen) hand(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data.terminal {
		s.endLine()
	}
	if _, err := io.WriteString(s.data.paint.w, text); err != nil {
		return fmt.Errorf("printing a message: %w", err)
	}
	return nil
}

// endLine ends the line of heartbeats, if there is one; mu is held.
func (s *Screen) endLine() {
	if s.beats > 0 {
		s.beats = 0
		s.aside.write("\n")
	}
}

func (f face) write(text string) { _, _ = io.WriteString(f.paint.w, text) }
