package frame

import "encoding/binary"

// Role is which end of the connection parses.
type Role uint8

// A server's peer must mask its frames, a client's peer must not (RFC 6455 5.1).
const (
	Server Role = iota
	Client
)

// readHeader reads the header at the start of b and returns its size, which is 0 while b ends inside
// it. What is wrong is told as soon as the bytes that show it are there.
func readHeader(b []byte, role Role) (h Header, size int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	h.Final, h.Op = b[0]&bitFinal != 0, Opcode(b[0]&bitsOp)
	switch {
	case b[0]&bitsRSV != 0:
		return h, 0, breach("reserved bit set")
	case !h.Op.isKnown():
		return h, 0, breach("reserved opcode")
	case h.Op.isControl() && !h.Final:
		return h, 0, breach("fragmented control frame")
	case len(b) == 1:
		return h, 0, nil
	}
	h.Masked = b[1]&bitMasked != 0
	switch {
	case role == Server && !h.Masked:
		return h, 0, breach("frame of a client is not masked")
	case role == Client && h.Masked:
		return h, 0, breach("frame of a server is masked")
	case h.Op.isControl() && b[1]&bitsLen > MaxControl:
		return h, 0, breach("control frame longer than 125 bytes")
	}
	size = HeaderLen(b)
	if len(b) < size {
		return h, 0, nil
	}
	if h.Length, err = readLength(b); err != nil {
		return h, 0, err
	}
	if h.Masked {
		h.Key = [4]byte(b[size-4 : size])
	}
	return h, size, nil
}

// readLength wants the shortest form of every length, as RFC 6455 5.2 does.
func readLength(b []byte) (uint64, error) {
	switch short := b[1] & bitsLen; short {
	case len16:
		n := uint64(binary.BigEndian.Uint16(b[2:]))
		if n < len16 {
			return 0, breach("length in more bytes than it needs")
		}
		return n, nil
	case len64:
		n := binary.BigEndian.Uint64(b[2:])
		if n <= 0xFFFF {
			return 0, breach("length in more bytes than it needs")
		}
		if n>>63 != 0 {
			return 0, breach("length with the highest bit set")
		}
		return n, nil
	default:
		return uint64(short), nil
	}
}
