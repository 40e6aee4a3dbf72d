package wire

import "encoding/json"

// MarshalJSON leaves out what is not set. The fields of Auth have no tags of their own because
// decoding them is ParseUp's work alone.
func (a Auth) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		APIKey       string       `json:"apiKey,omitempty"`
		SessionToken string       `json:"sessionToken,omitempty"`
		V            uint64       `json:"v,omitempty"`
		MachineID    string       `json:"machineId,omitempty"`
		Machine      *MachineInfo `json:"machine,omitempty"`
		LastSeq      *uint64      `json:"lastSeq,omitempty"`
		Epoch        string       `json:"epoch,omitempty"`
	}(a))
}

// MarshalJSON writes the position if there is one.
func (p Pong) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Seq *uint64 `json:"seq,omitempty"`
	}(p))
}

// MarshalJSON writes the machine's info.
func (s SystemInfo) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Machine MachineInfo `json:"machine"`
	}(s))
}

// String keeps the key and the token out of whatever prints the frame.
func (a Auth) String() string { return "auth ***" }

// GoString does the same for %#v.
func (a Auth) GoString() string { return a.String() }
