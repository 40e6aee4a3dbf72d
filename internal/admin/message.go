package admin

import (
	"bytes"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/wire"
)

// maxID is the longest id of a machine or account that is worth looking up.
const maxID = wire.MaxField

// envelope is room for everything in a request but its data: names, ids with every character
// escaped, and white space.
const envelope = 8 << 10

// decodeMessage reads one message. The error is an *api.Error; nothing of body is kept.
func decodeMessage(body []byte, maxFrame int) (api.Message, error) {
	o := readBody(body)
	m := api.Message{
		To:         target(o),
		ID:         o.plain("id", api.MaxMessageID),
		Mode:       api.Mode(o.text("mode", maxID)),
		TTLSeconds: o.integer("ttlSeconds", 1, api.MaxTTLSeconds),
	}
	data := o.take("data")
	if err := o.end(); err != nil {
		return api.Message{}, err
	}
	if err := checkMessage(m, data, maxFrame); err != nil {
		return api.Message{}, err
	}
	m.Data = bytes.Clone(data)
	return m, nil
}

func target(o *object) api.Target {
	v := o.take("to")
	if isNull(v) {
		o.fail(api.CodeInvalidRequest, "to is missing")
		return api.Target{}
	}
	in := readObject("to.", v)
	t := api.Target{Machine: in.plain("machine", maxID), Account: in.plain("account", maxID), All: in.flag("all")}
	in.end()
	if in.err == nil && targets(t) != 1 {
		in.fail(api.CodeInvalidRequest, "to must name exactly one of machine, account and all")
	}
	if o.err == nil {
		o.err = in.err
	}
	return t
}

func targets(t api.Target) int {
	n := 0
	for _, set := range []bool{t.Machine != "", t.Account != "", t.All} {
		if set {
			n++
		}
	}
	return n
}

func checkMessage(m api.Message, data []byte, maxFrame int) error {
	switch {
	case data == nil:
		return api.NewError(api.CodeInvalidRequest, "data is missing")
	case m.Mode != "" && m.Mode != api.Stored && m.Mode != api.Live:
		return api.NewError(api.CodeInvalidRequest, "mode must be stored or live")
	case m.Mode == api.Live && m.TTLSeconds != 0:
		return api.NewError(api.CodeInvalidRequest, "a live message is not kept, so it takes no ttlSeconds")
	case len(wire.AppendData(nil, wire.MaxSeq, m.ID, nil))+len(data) > maxFrame:
		return api.NewError(api.CodeDataTooLarge, "the message does not fit one frame")
	}
	return nil
}
