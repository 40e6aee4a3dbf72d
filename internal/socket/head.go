package socket

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// headReader reads requests that leave no doubt, into one request that is used again: a request of
// net/http's own would be the larger part of a handshake's garbage. What net/http or a proxy before it
// could understand in two ways, or would answer by itself, is not taken.
type headReader struct {
	request http.Request
	url     url.URL
	values  [mostLines]string // what the header's lists are made of
	lines   int
}

// mostLines is more header lines than a browser behind proxies sends.
const mostLines = 64

func newHeadReader() *headReader {
	h := &headReader{}
	h.request = http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &h.url, Header: make(http.Header), Body: http.NoBody,
	}
	return h
}

// read reads the request that data begins with, size bytes long. If ok is false, it is for net/http.
// The request is good until the next is read.
func (h *headReader) read(data []byte) (r *http.Request, size int, ok bool) {
	size = bytes.Index(data, []byte("\r\n\r\n")) + len("\r\n\r\n")
	if size < len("\r\n\r\n") {
		return nil, 0, false
	}
	first, rest, _ := strings.Cut(string(data[:size-len("\r\n")]), "\r\n")
	if !h.begin(first) {
		return nil, 0, false
	}
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		if !h.add(line) {
			return nil, 0, false
		}
	}
	return &h.request, size, h.request.Host != ""
}

// begin takes the request line, of which one form is taken.
func (h *headReader) begin(line string) bool {
	clear(h.request.Header)
	h.lines, h.request.Host = 0, ""
	uri, isGet := strings.CutPrefix(line, "GET ")
	uri, isHTTP := strings.CutSuffix(uri, " HTTP/1.1")
	h.request.RequestURI, h.url.Path = uri, uri
	return isGet && isHTTP && strings.HasPrefix(uri, "/") && isAll(uri, isPlainInPath)
}

// add takes a header line that is written as RFC 9112 wants it: of characters that can be seen, the
// name made of what names are made of, and not the continuation of another.
func (h *headReader) add(line string) bool {
	name, value, found := strings.Cut(line, ":")
	if !found || name == "" || h.lines == mostLines || !isAll(name, isPlainInName) || !isAll(value, isVisible) {
		return false
	}
	name, value = canonical(name), textproto.TrimString(value)
	switch name {
	case "Host":
		isFirst := h.request.Host == ""
		h.request.Host = value
		return isFirst && value != "" && isAll(value, isPlainInHost)
	case "Content-Length", "Transfer-Encoding", "Trailer", "Expect":
		return false
	}
	h.keep(name, value)
	return true
}

func (h *headReader) keep(name, value string) {
	if list := h.request.Header[name]; list != nil {
		h.request.Header[name] = append(list, value)
		return
	}
	h.values[h.lines] = value
	h.lines++
	h.request.Header[name] = h.values[h.lines-1 : h.lines : h.lines]
}

// canonical is how net/http writes a name. Those of every handshake, spelled as in RFC 6455, need no
// memory.
func canonical(name string) string {
	switch name {
	case "Sec-WebSocket-Key":
		return "Sec-Websocket-Key"
	case "Sec-WebSocket-Version":
		return "Sec-Websocket-Version"
	case "Sec-WebSocket-Extensions":
		return "Sec-Websocket-Extensions"
	case "Sec-WebSocket-Protocol":
		return "Sec-Websocket-Protocol"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

func isAll(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isVisible(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }

func isPlainInName(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' }

func isPlainInPath(c byte) bool { return isPlainInName(c) || c == '/' || c == '.' }

func isPlainInHost(c byte) bool { return isPlainInName(c) || strings.IndexByte(".:[]", c) >= 0 }

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
