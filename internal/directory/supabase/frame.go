package supabase

import (
	"encoding/json"
	"errors"
	"regexp"
)

// Realtime speaks Phoenix channels, version 2.0.0: every frame is a JSON array of join_ref, ref,
// topic, event and payload. We join one topic, and then
//
//	phx_reply         answers the join: what will be watched, or why not
//	system            says that the watch has really begun (later than the reply), or has failed
//	postgres_changes  is one change
//	phx_error, phx_close  end the topic; the socket stays
//
// and every heartbeat, on the topic "phoenix", is answered by a phx_reply. Everything else is skipped.
type frame struct {
	joinRef, ref *string
	topic, event string
	payload      json.RawMessage
}

var errFrame = errors.New("realtime sent a frame that cannot be read")

func decodeFrame(b []byte) (frame, error) {
	var parts []json.RawMessage
	if json.Unmarshal(b, &parts) != nil || len(parts) != 5 {
		return frame{}, errFrame
	}
	f := frame{payload: parts[4]}
	for i, to := range []any{&f.joinRef, &f.ref, &f.topic, &f.event} {
		if json.Unmarshal(parts[i], to) != nil {
			return frame{}, errFrame
		}
	}
	return f, nil
}

// encodeFrame makes a frame of ours; joinRef "" is none.
func encodeFrame(joinRef, ref, topic, event string, payload any) []byte {
	join := &joinRef
	if joinRef == "" {
		join = nil
	}
	b, err := json.Marshal([]any{join, ref, topic, event, payload})
	if err != nil {
		panic(err) // of our own types only
	}
	return b
}

func (f frame) answers(ref string) bool {
	return f.event == "phx_reply" && f.ref != nil && *f.ref == ref
}

// binding is one table to be watched.
type binding struct {
	Event  string `json:"event"`
	Schema string `json:"schema"`
	Table  string `json:"table"`
}

type joinPayload struct {
	Config struct {
		Broadcast struct {
			Ack  bool `json:"ack"`
			Self bool `json:"self"`
		} `json:"broadcast"`
		Presence struct {
			Key     string `json:"key"`
			Enabled bool   `json:"enabled"`
		} `json:"presence"`
		Changes []binding `json:"postgres_changes"`
		Private bool      `json:"private"`
	} `json:"config"`
	AccessToken string `json:"access_token,omitempty"`
}

type replyPayload struct {
	Status   string `json:"status"`
	Response struct {
		Changes []binding `json:"postgres_changes"`
		Reason  string    `json:"reason"`
	} `json:"response"`
}

// reasonCode is what begins the reasons of Realtime: one word.
var reasonCode = regexp.MustCompile(`^[A-Za-z]{3,40}\b`)

// code is the first word of a reason: the rest may repeat what we sent.
func (r replyPayload) code() string { return reasonCode.FindString(r.Response.Reason) }

type systemPayload struct {
	Extension string `json:"extension"`
	Status    string `json:"status"`
}

// change is one change of a row.
type change struct {
	kind   string // INSERT, UPDATE or DELETE
	schema string
	table  string
	before map[string]json.RawMessage // at least the primary key; nil at INSERT
	after  map[string]json.RawMessage // nil at DELETE
}

var errChange = errors.New("realtime sent a change that cannot be read")

func decodeChange(payload json.RawMessage) (change, error) {
	var p struct {
		Data *struct {
			Type   string                     `json:"type"`
			Schema string                     `json:"schema"`
			Table  string                     `json:"table"`
			Record map[string]json.RawMessage `json:"record"`
			Old    map[string]json.RawMessage `json:"old_record"`
		} `json:"data"`
	}
	if json.Unmarshal(payload, &p) != nil || p.Data == nil {
		return change{}, errChange
	}
	d := p.Data
	if d.Type != "INSERT" && d.Type != "UPDATE" && d.Type != "DELETE" {
		return change{}, errChange
	}
	return change{kind: d.Type, schema: d.Schema, table: d.Table, before: d.Old, after: d.Record}, nil
}

// idIn is the id in one column of a record; false if the record does not say it.
func idIn(record map[string]json.RawMessage, column string) (string, bool) {
	id, err := canonicalID(record[column])
	return id, err == nil
}
