package terminal

import "time"

// Level says how well something stands.
type Level int

// Levels of what was checked.
const (
	OK Level = iota
	Notice
	Failed
)

var (
	levelWords = [...]Word{OK: WordOK, Notice: WordNotice, Failed: WordFail}
	levelNames = [...]string{OK: "ok", Notice: "warn", Failed: "fail"} // for programs
	levelSigns = [...]sign{OK: signOK, Notice: signNotice, Failed: signFail}
)

// Finding is one thing that was checked.
type Finding struct {
	Level  Level
	Topic  Word
	Text   string
	Advice string
}

// topicColumns is the width of the column that topics stand in.
const topicColumns = 9

// Check shows what was found.
func (s *Screen) Check(f Finding) {
	if s.asJSON() {
		s.tellJSON(checkLine{"check", s.c.Now().UTC(), levelNames[f.Level], English.Say(f.Topic), f.Text, f.Advice})
		return
	}
	topic, text := pad(s.say(f.Topic), topicColumns), Safe(f.Text)
	if !s.aside.terminal {
		s.tell(pad(s.say(levelWords[f.Level]), 5) + " " + topic + text + "\n")
		s.hint(f.Advice)
		return
	}
	p := s.aside.paint
	const indent = 2 + 2 + topicColumns
	body := s.wrapped(text, indent)[indent:]
	if f.Level != OK {
		body = p.of(levelSigns[f.Level], body)
	}
	s.tell("  " + p.of(levelSigns[f.Level], s.signs[levelSigns[f.Level]]) + " " + p.quiet(topic) + body + "\n")
	if f.Advice != "" {
		s.tell(p.quiet(s.wrapped(Safe(f.Advice), indent)) + "\n")
	}
}

// Space parts what belongs together from what follows, for people.
func (s *Screen) Space() {
	if s.aside.terminal && !s.asJSON() {
		s.tell("\n")
	}
}

type checkLine struct {
	Type  string    `json:"type"`
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Topic string    `json:"topic"`
	Text  string    `json:"text"`
	Hint  string    `json:"hint,omitempty"`
}
