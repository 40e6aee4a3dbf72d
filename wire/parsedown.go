package wire

import (
	"encoding/json"
	"time"
)

// ParseDown decodes a frame from a gateway: the client's half. The error is a *FrameError; a client
// skips such a frame and goes on.
func ParseDown(frame []byte) (Down, error) {
	var room shelf
	o, err := parseObject(frame, &room)
	if err != nil {
		return nil, err
	}
	r := &reader{object: o, err: &err}
	d := r.down()
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (r *reader) down() Down {
	const anyLength = MaxDown
	switch r.text("type", MaxField) {
	case "auth_success":
		return AuthSuccess{SessionToken: r.text("sessionToken", MaxKey), Message: r.text("message", anyLength), Welcome: r.welcome()}
	case "auth_failed":
		return AuthFailed{Message: r.text("message", anyLength), Code: Code(r.text("code", MaxField)), RetryAfterMs: int64(r.integer("retryAfterMs"))}
	case "error":
		return Error{Message: r.text("message", anyLength), Code: Code(r.text("code", MaxField)), RetryAfterMs: int64(r.integer("retryAfterMs"))}
	case "ping":
		return Ping{Seq: r.position("seq")}
	case "data":
		return Data{Seq: r.integer("seq"), ID: r.text("id", anyLength), Data: r.raw("data")}
	case "gap":
		return Gap{Seq: r.integer("seq")}
	case "token":
		return Token{SessionToken: r.text("sessionToken", MaxKey), ExpiresAt: r.instant("expiresAt")}
	case "machine_deleted":
		return MachineDeleted{Message: r.text("message", anyLength)}
	}
	return UnknownDown{}
}

func (r *reader) welcome() *Welcome {
	if !r.has("machineId") {
		return nil
	}
	w := &Welcome{
		MachineID: r.text("machineId", MaxField),
		SessionID: r.text("sessionId", MaxField),
		ExpiresAt: r.instant("expiresAt"),
		Seq:       r.integer("seq"),
		Epoch:     r.text("epoch", MaxField),
		Recovered: r.flag("recovered"),
		Acked:     r.text("acked", MaxDown),
	}
	r.decode("heartbeatSeconds", &w.HeartbeatSeconds, "a number")
	return w
}

func (r *reader) instant(name string) time.Time {
	var t time.Time
	r.decode(name, &t, "a time (RFC 3339)")
	return t
}

// raw keeps null: a message may be null.
func (r *reader) raw(name string) json.RawMessage {
	if i := r.find(name); i >= 0 {
		return r.fields[i].value
	}
	return json.RawMessage("null")
}
