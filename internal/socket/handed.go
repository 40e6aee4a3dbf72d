package socket

import "net"

// handed is a connection of which something was read before net/http was given it.
type handed struct {
	net.Conn
	early []byte // what was read, as long as nobody has asked for it
}

func (h *handed) Read(p []byte) (int, error) {
	if len(h.early) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.early)
	h.early = h.early[n:]
	return n, nil
}

// bare is the connection that was handed on, or nc itself.
func bare(nc net.Conn) net.Conn {
	if h, ok := nc.(*handed); ok {
		return h.Conn
	}
	return nc
}

// unread is what was read of a connection and not asked for.
func unread(nc net.Conn) []byte {
	if h, ok := nc.(*handed); ok {
		return h.early
	}
	return nil
}
