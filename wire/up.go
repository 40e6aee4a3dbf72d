package wire

import "bytes"

// Up is a frame from machine to gateway: one of Auth, Pong, SystemInfo, Disconnect, Unserved and
// Unknown.
type Up interface{ up() }

// Auth asks to be let in, with an API key or a session token, never both.
type Auth struct {
	APIKey       string
	SessionToken string
	// V is the protocol version the client speaks; 0 means it knows only the fixed block.
	V uint64
	// MachineID is known from an earlier enrolment.
	MachineID string
	// Machine asks for enrolment, or refreshes what is known of the machine.
	Machine *MachineInfo
	// LastSeq asks to recover after this position of the log's life Epoch; nil asks for what comes
	// from now on.
	LastSeq *uint64
	Epoch   string
}

// MachineInfo is what a machine says of itself.
type MachineInfo struct {
	Hostname string `json:"hostname,omitempty"`
	OS       string `json:"os,omitempty"`
	Arch     string `json:"arch,omitempty"`
	CPUCores uint64 `json:"cpuCores,omitempty"`
	RAMBytes uint64 `json:"ramBytes,omitempty"`
	HWID     string `json:"hwid,omitempty"`
	Version  string `json:"version,omitempty"`
	// BootID differs between two machines that run at once under one identity, and stays the same
	// while one runs.
	BootID string `json:"bootId,omitempty"`
}

// Pong answers a ping. Seq, if sent, is the position the client has processed.
type Pong struct{ Seq *uint64 }

// SystemInfo updates what is known of the machine.
type SystemInfo struct{ Machine MachineInfo }

// Disconnect says goodbye.
type Disconnect struct{}

// Unserved is a frame of the protocol that this gateway does not serve yet.
type Unserved struct{ Type string }

// Unknown is a frame of a type that this version does not know. It is skipped.
type Unknown struct{}

func (Auth) up()       {}
func (Pong) up()       {}
func (SystemInfo) up() {}
func (Disconnect) up() {}
func (Unserved) up()   {}
func (Unknown) up()    {}

// Nearly every frame of a quiet fleet is one of these, written exactly so.
const (
	plainPong    = `{"type":"pong"}`
	positionPong = `{"type":"pong","seq":`
)

// quickPong reads a pong without decoding JSON. What it does not recognize may still be one.
func quickPong(frame []byte) (Pong, bool) {
	if string(frame) == plainPong {
		return Pong{}, true
	}
	rest, ok := bytes.CutPrefix(frame, []byte(positionPong))
	digits, closed := bytes.CutSuffix(rest, []byte("}"))
	if !ok || !closed || len(digits) == 0 || len(digits) > 15 || digits[0] == '0' {
		return Pong{}, false
	}
	var seq uint64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return Pong{}, false
		}
		seq = 10*seq + uint64(d-'0')
	}
	return Pong{Seq: &seq}, true
}

// ParseUp decodes a frame from a machine. The error is a *FrameError and safe to show.
func ParseUp(frame []byte) (Up, error) {
	if pong, ok := quickPong(frame); ok {
		return pong, nil
	}
	var room shelf
	o, err := parseObject(frame, &room)
	if err != nil {
		return nil, err
	}
	r := &reader{object: o, err: &err}
	u := r.up()
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (r *reader) up() Up {
	if !r.has("type") {
		r.fail(bad("type is missing"))
		return nil
	}
	switch t := r.text("type", MaxField); t {
	case "auth":
		return r.auth()
	case "pong":
		return Pong{Seq: r.position("seq")}
	case "system_info":
		return SystemInfo{Machine: r.systemInfo()}
	case "disconnect":
		return Disconnect{}
	case "data", "progress", "result":
		return Unserved{Type: t}
	}
	return Unknown{}
}

func (r *reader) auth() Up {
	a := Auth{
		APIKey:       r.text("apiKey", MaxKey),
		SessionToken: r.text("sessionToken", MaxKey),
		V:            r.integer("v"),
		MachineID:    r.text("machineId", MaxField),
		Machine:      r.machine("machine"),
		LastSeq:      r.position("lastSeq"),
		Epoch:        r.text("epoch", MaxField),
	}
	switch {
	case *r.err != nil:
	case a.APIKey == "" && a.SessionToken == "":
		r.fail(bad("auth needs apiKey or sessionToken"))
	case a.APIKey != "" && a.SessionToken != "":
		r.fail(bad("auth takes apiKey or sessionToken, not both"))
	}
	return a
}

func (r *reader) machine(name string) *MachineInfo {
	v := r.value(name)
	if v == nil {
		return nil
	}
	var room shelf
	o, err := splitObject(v, &room)
	if err != nil {
		r.fail(bad("%s must be an object without repeated fields", name))
		return nil
	}
	inner := &reader{object: o, err: &err}
	m := inner.info()
	if err != nil {
		r.fail(bad("%s.%s", name, err))
	}
	return &m
}

// systemInfo takes the fields from "machine" or, as older clients send them, from the frame itself.
func (r *reader) systemInfo() MachineInfo {
	if m := r.machine("machine"); m != nil {
		return *m
	}
	return r.info()
}

func (r *reader) info() MachineInfo {
	return MachineInfo{
		Hostname: r.text("hostname", MaxField),
		OS:       r.text("os", MaxField),
		Arch:     r.text("arch", MaxField),
		CPUCores: r.integer("cpuCores"),
		RAMBytes: r.integer("ramBytes"),
		HWID:     r.text("hwid", MaxField),
		Version:  r.text("version", MaxField),
		BootID:   r.text("bootId", MaxField),
	}
}
