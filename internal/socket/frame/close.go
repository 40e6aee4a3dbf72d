package frame

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Close codes of RFC 6455 7.4.1 that the codec and the engines use.
const (
	CodeNormal      uint16 = 1000
	CodeProtocol    uint16 = 1002
	CodeUnsupported uint16 = 1003
	CodeNoStatus    uint16 = 1005 // stands for a close frame without a code; never sent
	CodeAbnormal    uint16 = 1006 // stands for an end without a close frame; never sent
	CodeNotUTF8     uint16 = 1007
	CodeTooBig      uint16 = 1009
)

// MaxReason is the longest reason of a close frame, in bytes.
const MaxReason = MaxControl - 2

// Violation is how a peer broke the protocol. Code is the close code that answers it.
type Violation struct {
	Code   uint16
	Reason string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s (close code %d)", v.Reason, v.Code) }

func breach(reason string) *Violation { return &Violation{CodeProtocol, reason} }

// AppendClose appends an unmasked close frame. With CodeNoStatus or CodeAbnormal, which must not be
// sent, the frame carries no code. A reason longer than MaxReason is cut between two characters.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if code == CodeNoStatus || code == CodeAbnormal {
		return appendWhole(dst, OpClose, nil)
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, MaxControl), code)
	return appendWhole(dst, OpClose, append(payload, cutReason(reason)...))
}

func cutReason(reason string) string {
	if len(reason) <= MaxReason {
		return reason
	}
	n := MaxReason
	for n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

// ParseClose reads the payload of a close frame. An empty one is CodeNoStatus.
func ParseClose(payload []byte) (code uint16, reason string, err error) {
	if len(payload) == 0 {
		return CodeNoStatus, "", nil
	}
	if len(payload) == 1 {
		return 0, "", breach("close frame with half a code")
	}
	code = binary.BigEndian.Uint16(payload)
	if !IsSendable(code) {
		return 0, "", breach("close frame with a code that must not be sent")
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", &Violation{CodeNotUTF8, "close reason is not UTF-8"}
	}
	return code, string(payload[2:]), nil
}

// IsSendable tells whether code may stand in a close frame: the codes registered for use on the wire
// (RFC 6455 7.4.1 and the registry it made), and those of libraries and applications (7.4.2).
func IsSendable(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}
