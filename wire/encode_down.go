package wire

import (
	"slices"
	"strconv"
	"time"
)

// greeting is about how long an auth_success is beside its token.
const greeting = 320

// Append appends the frame to dst as Encode writes it. It writes what the encoder would make of the
// fields' tags, without reflection: a fleet that comes back at once is greeted with it.
func (a AuthSuccess) Append(dst []byte) []byte {
	dst = append(slices.Grow(dst, len(a.SessionToken)+greeting), `{"type":"auth_success","sessionToken":`...)
	dst = AppendText(dst, a.SessionToken)
	dst = AppendText(append(dst, `,"message":`...), a.Message)
	if a.Welcome != nil {
		dst = a.Welcome.append(dst)
	}
	return append(dst, '}')
}

func (w *Welcome) append(dst []byte) []byte {
	dst = AppendText(append(dst, `,"machineId":`...), w.MachineID)
	dst = AppendText(append(dst, `,"sessionId":`...), w.SessionID)
	dst = append(w.ExpiresAt.AppendFormat(append(dst, `,"expiresAt":"`...), time.RFC3339Nano), '"')
	dst = strconv.AppendFloat(append(dst, `,"heartbeatSeconds":`...), w.HeartbeatSeconds, 'f', -1, 64)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), w.Seq, 10)
	dst = AppendText(append(dst, `,"epoch":`...), w.Epoch)
	dst = strconv.AppendBool(append(dst, `,"recovered":`...), w.Recovered)
	if w.Acked != "" {
		dst = AppendText(append(dst, `,"acked":`...), w.Acked)
	}
	return dst
}
