package socket

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
)

// headReader reads requests that leave no doubt, as net/http would: what it takes is parsed by
// net/http's own code, and what that code or a proxy before it could understand in two ways, or would
// answer by itself, is not taken.
type headReader struct {
	data     bytes.Reader
	buffered *bufio.Reader
}

// mostLines is more header lines than a browser behind proxies sends.
const mostLines = 64

func newHeadReader() *headReader {
	h := &headReader{}
	h.buffered = bufio.NewReader(&h.data)
	return h
}

// read reads the request that data begins with, size bytes long. If ok is false, it is for net/http.
func (h *headReader) read(data []byte) (r *http.Request, size int, ok bool) {
	size = bytes.Index(data, []byte("\r\n\r\n")) + len("\r\n\r\n")
	if size < len("\r\n\r\n") || !isPlain(data[:size-len("\r\n")]) {
		return nil, 0, false
	}
	h.data.Reset(data[:size])
	h.buffered.Reset(&h.data)
	r, err := http.ReadRequest(h.buffered)
	if err != nil || h.buffered.Buffered()+h.data.Len() > 0 || !isCertain(r) {
		return nil, 0, false
	}
	return r, size, true
}

// isPlain tells whether the head is written as RFC 9112 wants it: every line ends with CR LF and is of
// characters that can be seen, names are made of what names are made of, no line continues another,
// and there is one Host.
func isPlain(head []byte) bool {
	hosts := 0
	for lines := 0; len(head) > 0; lines++ {
		line, rest, found := bytes.Cut(head, []byte("\r\n"))
		if !found || lines > mostLines || bytes.IndexFunc(line, isControl) >= 0 {
			return false
		}
		head = rest
		if lines == 0 {
			continue // the request line, of which isCertain leaves one form
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.IndexFunc(name, isOddInName) >= 0 {
			return false
		}
		if len(name) == len("host") && strings.EqualFold(string(name), "host") {
			hosts++
		}
	}
	return hosts == 1
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func isOddInName(c rune) bool { return !isAlphanumeric(c) && c != '-' && c != '_' }

func isOddInHost(c rune) bool { return !isAlphanumeric(c) && !strings.ContainsRune("-._:[]", c) }

func isAlphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isCertain tells whether net/http would bring r to its handler as it is.
func isCertain(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Proto == "HTTP/1.1" && strings.HasPrefix(r.RequestURI, "/") &&
		r.Host != "" && strings.IndexFunc(r.Host, isOddInHost) < 0 &&
		r.ContentLength == 0 && len(r.Trailer) == 0 && r.Header["Expect"] == nil
}
