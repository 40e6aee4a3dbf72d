// Package frame is the WebSocket codec of RFC 6455 section 5, for both roles: a server parses masked
// frames and writes unmasked ones, a client the other way round.
//
// Writing is appending to a slice. Reading is a Parser that is fed bytes as they come, in slices of
// any size, and keeps only what belongs to an unfinished frame or message: a connection between two
// messages holds no memory here. Lengths are checked from the header, before memory is taken.
//
// The package knows no socket and no extension: a frame that would need one is a Violation.
package frame

import "encoding/binary"

// Opcode is the kind of a frame (RFC 6455 5.2).
type Opcode byte

// The opcodes of RFC 6455; all others are reserved.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

func (op Opcode) isControl() bool { return op >= OpClose }

func (op Opcode) isKnown() bool { return op <= OpBinary || op >= OpClose && op <= OpPong }

// MaxControl is the largest payload of a control frame, in bytes (RFC 6455 5.5).
const MaxControl = 125

const (
	bitFinal  = 0x80
	bitsRSV   = 0x70
	bitsOp    = 0x0F
	bitMasked = 0x80
	bitsLen   = 0x7F

	len16 = 126 // a 16 bit length follows
	len64 = 127 // a 64 bit length follows

	maxHeader = 14 // two bytes, a 64 bit length, a key
)

// Header is what stands before a frame's payload.
type Header struct {
	Final  bool
	Op     Opcode
	Masked bool
	Key    [4]byte // of a masked frame
	Length uint64  // of the payload, in bytes
}

// AppendHeader appends h to dst.
func AppendHeader(dst []byte, h Header) []byte {
	b0, mask := byte(h.Op), byte(0)
	if h.Final {
		b0 |= bitFinal
	}
	if h.Masked {
		mask = bitMasked
	}
	switch {
	case h.Length < len16:
		dst = append(dst, b0, mask|byte(h.Length))
	case h.Length <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, b0, mask|len16), uint16(h.Length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, b0, mask|len64), h.Length)
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// HeaderLen is the length of the header at the start of the whole frame f.
func HeaderLen(f []byte) int {
	n := 2
	switch f[1] & bitsLen {
	case len16:
		n += 2
	case len64:
		n += 8
	}
	if f[1]&bitMasked != 0 {
		n += 4
	}
	return n
}

// AppendText appends payload as one unmasked text frame.
func AppendText(dst, payload []byte) []byte { return appendWhole(dst, OpText, payload) }

// AppendPing appends an unmasked ping; payload must not be longer than MaxControl.
func AppendPing(dst, payload []byte) []byte { return appendWhole(dst, OpPing, payload) }

// AppendPong appends an unmasked pong; payload must not be longer than MaxControl.
func AppendPong(dst, payload []byte) []byte { return appendWhole(dst, OpPong, payload) }

func appendWhole(dst []byte, op Opcode, payload []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, len(payload)+sizeUnmasked(len(payload)))
	}
	dst = AppendHeader(dst, Header{Final: true, Op: op, Length: uint64(len(payload))})
	return append(dst, payload...)
}

func sizeUnmasked(payload int) int {
	switch {
	case payload < len16:
		return 2
	case payload <= 0xFFFF:
		return 4
	}
	return 10
}

// AppendMasked appends payload as one whole frame of a client. The key must be unpredictable and
// new for every frame (RFC 6455 5.3).
func AppendMasked(dst []byte, op Opcode, key [4]byte, payload []byte) []byte {
	h := Header{Final: true, Op: op, Masked: true, Key: key, Length: uint64(len(payload))}
	dst = AppendHeader(dst, h)
	start := len(dst)
	dst = append(dst, payload...)
	Mask(dst[start:], key, 0)
	return dst
}
