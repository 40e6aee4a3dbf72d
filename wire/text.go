package wire

import (
	"bytes"
	"encoding/json"
)

// AppendText appends s to dst as a JSON text (RFC 8259, 7), as encoding/json writes it if it need not mind
// HTML, and mostly without it.
func AppendText(dst []byte, s string) []byte {
	if !IsPlain(s) {
		return appendEncoded(dst, s)
	}
	return append(append(append(dst, '"'), s...), '"')
}

// IsPlain tells whether s is nothing but visible ASCII that JSON writes as it is.
func IsPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendEncoded(dst []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string cannot fail
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
