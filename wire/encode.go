package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Encode writes a frame of either direction as JSON text, its type first. Texts are not
// HTML-escaped: the receiver gets the publisher's bytes.
func Encode(frame any) ([]byte, error) {
	if hello, ok := frame.(AuthSuccess); ok {
		return hello.Append(nil), nil
	}
	t := typeOf(frame)
	if t == "" {
		return nil, fmt.Errorf("encoding a frame: %T is not one", frame)
	}
	var buf bytes.Buffer
	buf.WriteString(`{"type":"` + t + `",`)
	head := buf.Len()
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(frame); err != nil {
		return nil, fmt.Errorf("encoding a frame: %w", err)
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	// The struct's own "{" gives way to the head; an empty struct also takes the comma with it.
	if bytes.Equal(b[head:], []byte("{}")) {
		return append(b[:head-1], '}'), nil
	}
	return append(b[:head], b[head+1:]...), nil
}

// MustEncode is Encode for frames that cannot fail: those without RawMessage.
func MustEncode(frame any) []byte {
	b, err := Encode(frame)
	if err != nil {
		panic(err)
	}
	return b
}

func typeOf(frame any) string {
	switch f := frame.(type) {
	case Auth:
		return "auth"
	case Pong:
		return "pong"
	case SystemInfo:
		return "system_info"
	case Disconnect:
		return "disconnect"
	case AuthFailed:
		return "auth_failed"
	case Error:
		return "error"
	case Ping:
		return "ping"
	case Data:
		return "data"
	case Gap:
		return "gap"
	case Token:
		return "token"
	case MachineDeleted:
		return "machine_deleted"
	case Unserved:
		return f.Type
	}
	return ""
}

// AppendData appends a data frame whose payload is already valid JSON: the road that messages take,
// without reflection. Seq 0 leaves the position out, id "" the id.
func AppendData(dst []byte, seq uint64, id string, data []byte) []byte {
	dst = append(dst, `{"type":"data"`...)
	if seq != 0 {
		dst = strconv.AppendUint(append(dst, `,"seq":`...), seq, 10)
	}
	if id != "" {
		dst = AppendText(append(dst, `,"id":`...), id)
	}
	dst = append(append(dst, `,"data":`...), data...)
	return append(dst, '}')
}
