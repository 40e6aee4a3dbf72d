package bench

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"github.com/fleetline/fleetline/wire"
)

// kind is what a frame from a server means to a machine.
type kind uint8

const (
	kindOther kind = iota
	kindData
	kindPing
	kindWelcome
	kindRefused
	kindDeleted
	kindToken
)

// dialect is a protocol as far as the load needs it. Frames that machines send often are masked
// once, all with the same key: it costs the server what any other key costs.
type dialect struct {
	path   string
	kindOf func(text []byte) kind
	// messages is how many messages a data frame carries.
	messages func(text []byte) int64
	auth     func(m *machine, useToken bool) []byte
	pong     []byte
}

var maskKey = [4]byte{0x5a, 0xc3, 0x3c, 0xa5}

func masked(op frame.Opcode, payload []byte) []byte {
	return frame.AppendMasked(nil, op, maskKey, payload)
}

func dialectOf(name string) (dialect, error) {
	switch name {
	case "fleetline":
		return dialect{
			path:     "/",
			kindOf:   kindOfFrame,
			messages: func([]byte) int64 { return 1 },
			auth:     authFrame,
			pong:     masked(frame.OpText, wire.MustEncode(wire.Pong{})),
		}, nil
	case "centrifuge":
		return dialect{
			path:   "/connection/websocket",
			kindOf: kindOfCentrifuge,
			messages: func(text []byte) int64 {
				return int64(bytes.Count(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))) + 1
			},
			auth: centrifugeConnect,
			pong: masked(frame.OpText, []byte("{}")),
		}, nil
	}
	return dialect{}, fmt.Errorf("there is no dialect %q", name)
}

// kindOfFrame goes by the first letters of the type, which stands first in every frame of ours and
// of those peers that speak the same protocol.
func kindOfFrame(text []byte) kind {
	const head = len(`{"type":"`)
	if len(text) < head+6 {
		return kindOther
	}
	switch word := text[head:]; word[0] {
	case 'd':
		return kindData
	case 'p':
		return kindPing
	case 'a':
		if word[5] == 's' { // auth_success
			return kindWelcome
		}
		return kindRefused
	case 'e':
		return kindRefused
	case 'm':
		return kindDeleted
	case 't':
		return kindToken
	}
	return kindOther
}

// authFrame is what an enrolled machine says first.
func authFrame(m *machine, useToken bool) []byte {
	a := wire.Auth{V: 1, MachineID: m.id}
	if useToken && m.token != "" {
		a.SessionToken = string(m.token)
	} else {
		a.APIKey = string(m.key)
		a.Machine = &wire.MachineInfo{
			Hostname: fmt.Sprintf("bench-%06d", m.number), OS: "linux", Arch: "arm64", CPUCores: 4, RAMBytes: 4136894464,
			HWID: fmt.Sprintf("%032x", m.number), Version: "1.0.0",
		}
	}
	return masked(frame.OpText, wire.MustEncode(a))
}

func kindOfCentrifuge(text []byte) kind {
	switch {
	case len(text) <= len("{}\n"):
		return kindPing
	case bytes.HasPrefix(text, []byte(`{"push"`)):
		return kindData
	case bytes.HasPrefix(text, []byte(`{"id":1,"connect"`)):
		return kindWelcome
	case bytes.HasPrefix(text, []byte(`{"id":1,"error"`)), bytes.HasPrefix(text, []byte(`{"disconnect"`)):
		return kindRefused
	}
	return kindOther
}

func centrifugeConnect(m *machine, _ bool) []byte {
	m.id = strconv.Itoa(m.number)
	return masked(frame.OpText, fmt.Appendf(nil, `{"id":1,"connect":{"token":%q,"name":"%d"}}`, string(m.key), m.number))
}

// fieldOf finds the text of a field without decoding the rest. It is enough for ids, codes and
// tokens, which have no characters that JSON escapes.
func fieldOf(text []byte, name string) string {
	_, rest, found := bytes.Cut(text, []byte(`"`+name+`":"`))
	value, _, whole := bytes.Cut(rest, []byte(`"`))
	if !found || !whole {
		return ""
	}
	return string(value)
}

// numberOf finds the number that a field holds; 0 if there is none.
func numberOf(text []byte, name string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(name))
	var n int64
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int64(c-'0')
	}
	return n
}
