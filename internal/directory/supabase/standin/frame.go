package standin

import (
	"encoding/json"
	"errors"
)

// frame is one message of Realtime. Version 2.0.0 writes it as [join_ref, ref, topic, event, payload];
// version 1.0.0, which is also meant where none is named, as an object, from the server without
// join_ref.
type frame struct {
	JoinRef *string         `json:"join_ref,omitempty"`
	Ref     *string         `json:"ref"`
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

var errNoFrame = errors.New("a frame has five parts")

func decodeFrame(text []byte, isV2 bool) (f frame, err error) {
	if !isV2 {
		return f, json.Unmarshal(text, &f)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return f, err
	}
	if len(parts) != 5 {
		return f, errNoFrame
	}
	f.Payload = parts[4]
	return f, errors.Join(json.Unmarshal(parts[0], &f.JoinRef), json.Unmarshal(parts[1], &f.Ref),
		json.Unmarshal(parts[2], &f.Topic), json.Unmarshal(parts[3], &f.Event))
}

func (f frame) encode(isV2 bool) ([]byte, error) {
	if isV2 {
		return json.Marshal([]any{f.JoinRef, f.Ref, f.Topic, f.Event, f.Payload})
	}
	f.JoinRef = nil
	return json.Marshal(f)
}

// object is a payload.
type object map[string]any

func (o object) raw() json.RawMessage {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // what the stand-in writes has a JSON form
	}
	return text
}
