package terminal

import (
	"bytes"
	"encoding/json"
	"time"
)

// The lines of the JSON face. Programs read them: their names stay.
type stateLine struct {
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	State  State     `json:"state"`
	Detail string    `json:"detail,omitempty"`
}

type gapLine struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Seq  uint64    `json:"seq"`
}

type messageLine struct {
	Type  string          `json:"type"`
	Time  time.Time       `json:"time"`
	Seq   uint64          `json:"seq,omitempty"`
	Epoch string          `json:"epoch,omitempty"`
	ID    string          `json:"id,omitempty"`
	Data  json.RawMessage `json:"data"`
}

type noteLine struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

type heartbeatLine struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
}

type endLine struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`
	Said string    `json:"said,omitempty"`
	Done string    `json:"done,omitempty"`
	Hint string    `json:"hint,omitempty"`
}

// asJSON tells whether what goes aside is for programs too.
func (s *Screen) asJSON() bool { return s.c.JSON && !s.aside.terminal }

func (s *Screen) tellJSON(line any) {
	text, err := EncodeJSON(line)
	if err != nil {
		return // lines are made of strings and numbers
	}
	s.tell(string(text) + "\n")
}

// EncodeJSON writes v as one line of JSON that is safe to print: what Safe would escape stands in
// it as a JSON escape, so programs read the same value.
func EncodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(Safe(string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))))), nil
}

// safeJSON makes one printable line of a message. A gateway only sends JSON; should something else
// arrive, it is shown as a string.
func safeJSON(data []byte) json.RawMessage {
	var line bytes.Buffer
	if json.Compact(&line, data) != nil {
		quoted, _ := json.Marshal(string(data)) // a string cannot fail
		line = *bytes.NewBuffer(quoted)
	}
	return json.RawMessage(Safe(line.String()))
}
