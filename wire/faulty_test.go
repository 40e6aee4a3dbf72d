package wire_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/wire"
)

func TestABadFrameFromAMachineIsRefused(t *testing.T) {
	for name, frame := range map[string]string{
		"empty":                        ``,
		"not JSON":                     `hello`,
		"cut off":                      `{"type":"pong"`,
		"an array":                     `[{"type":"pong"}]`,
		"a string":                     `"pong"`,
		"null":                         `null`,
		"something behind the object":  `{"type":"pong"}{"type":"pong"}`,
		"a bracket behind the object":  `{"type":"pong"}]`,
		"no type":                      `{}`,
		"type null":                    `{"type":null}`,
		"type in other case":           `{"Type":"pong"}`,
		"type a number":                `{"type":1}`,
		"type twice":                   `{"type":"pong","type":"pong"}`,
		"key twice":                    `{"type":"auth","apiKey":"a","apiKey":"b"}`,
		"key twice, once escaped":      `{"type":"auth","apiKey":"a","\u0061piKey":"b"}`,
		"an unknown field twice":       `{"type":"pong","x":1,"x":2}`,
		"auth without key or token":    `{"type":"auth"}`,
		"auth with an empty key":       `{"type":"auth","apiKey":""}`,
		"auth with the key null":       `{"type":"auth","apiKey":null}`,
		"auth with the key in capital": `{"type":"auth","APIKEY":"k"}`,
		"auth with key and token":      `{"type":"auth","apiKey":"a","sessionToken":"b"}`,
		"key a number":                 `{"type":"auth","apiKey":5}`,
		"key an object":                `{"type":"auth","apiKey":{}}`,
		"v a string":                   `{"type":"auth","apiKey":"k","v":"1"}`,
		"v negative":                   `{"type":"auth","apiKey":"k","v":-1}`,
		"v with a fraction":            `{"type":"auth","apiKey":"k","v":1.0}`,
		"lastSeq too large":            `{"type":"auth","apiKey":"k","lastSeq":9007199254740992}`,
		"lastSeq over 64 bits":         `{"type":"auth","apiKey":"k","lastSeq":18446744073709551616}`,
		"epoch a number":               `{"type":"auth","apiKey":"k","epoch":1}`,
		"machine a string":             `{"type":"auth","apiKey":"k","machine":"m"}`,
		"machine an array":             `{"type":"auth","apiKey":"k","machine":[]}`,
		"a field of machine twice":     `{"type":"auth","apiKey":"k","machine":{"hwid":"a","hwid":"b"}}`,
		"a field of machine mistyped":  `{"type":"auth","apiKey":"k","machine":{"hwid":7}}`,
		"pong with a mistyped seq":     `{"type":"pong","seq":"1"}`,
		"system_info mistyped":         `{"type":"system_info","hostname":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.ParseUp([]byte(frame))
			if _, ok := errors.AsType[*wire.FrameError](err); !ok {
				t.Errorf("%s became %#v, %v", frame, got, err)
			}
		})
	}
}

func TestLimitsHoldToTheByte(t *testing.T) {
	for field, most := range map[string]int{"apiKey": wire.MaxKey, "sessionToken": wire.MaxKey, "machineId": wire.MaxField, "epoch": wire.MaxField} {
		frame := func(n int) []byte {
			other := ""
			if field != "apiKey" && field != "sessionToken" {
				other = `"apiKey":"k",`
			}
			return fmt.Appendf(nil, `{"type":"auth",%s%q:%q}`, other, field, strings.Repeat("x", n))
		}
		if _, err := wire.ParseUp(frame(most)); err != nil {
			t.Errorf("%s of %d bytes: %v", field, most, err)
		}
		if _, err := wire.ParseUp(frame(most + 1)); err == nil {
			t.Errorf("%s of %d bytes was taken", field, most+1)
		}
	}
	for _, field := range []string{"hostname", "os", "arch", "hwid", "version"} {
		frame := fmt.Appendf(nil, `{"type":"auth","apiKey":"k","machine":{%q:%q}}`, field, strings.Repeat("x", wire.MaxField+1))
		if _, err := wire.ParseUp(frame); err == nil {
			t.Errorf("machine.%s of %d bytes was taken", field, wire.MaxField+1)
		}
	}
}

func TestUnknownTypesAndFieldsAreIgnored(t *testing.T) {
	for frame, want := range map[string]any{
		`{"type":"news","data":[1]}`:          wire.Unknown{},
		`{"type":"","x":1}`:                   wire.Unknown{},
		`{"type":"Pong"}`:                     wire.Unknown{},
		`{"type":"pong","extra":{"a":[1,2]}}`: wire.Pong{},
		` { "type" : "pong" } `:               wire.Pong{},
		`{"type":"auth","apiKey":"k","SESSIONTOKEN":"t","newField":true}`: wire.Auth{APIKey: "k"},
		`{"type":"data","id":1,"data":0}`:                                 wire.Unserved{Type: "data"},
		`{"type":"progress"}`:                                             wire.Unserved{Type: "progress"},
		`{"type":"result"}`:                                               wire.Unserved{Type: "result"},
		`{"type":"system_info","hostname":"h","extra":1}`:                 wire.SystemInfo{Machine: wire.MachineInfo{Hostname: "h"}},
	} {
		if got, err := wire.ParseUp([]byte(frame)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %#v, %v, want %#v", frame, got, err, want)
		}
	}
	for _, frame := range []string{`{"type":"ack","id":"x"}`, `{"type":"command"}`, `{}`, `{"type":null}`} {
		if got, err := wire.ParseDown([]byte(frame)); err != nil || got != (wire.UnknownDown{}) {
			t.Errorf("%s became %#v, %v", frame, got, err)
		}
	}
}

func TestNullIsAsIfNotSent(t *testing.T) {
	up := `{"type":"auth","apiKey":"k","sessionToken":null,"v":null,"machineId":null,"machine":null,"lastSeq":null,"epoch":null}`
	if got, err := wire.ParseUp([]byte(up)); err != nil || !reflect.DeepEqual(got, wire.Auth{APIKey: "k"}) {
		t.Errorf("got %#v, %v", got, err)
	}
	down := `{"type":"data","seq":null,"id":null,"data":null}`
	if got, err := wire.ParseDown([]byte(down)); err != nil || !reflect.DeepEqual(got, wire.Data{Data: []byte("null")}) {
		t.Errorf("got %#v, %v", got, err)
	}
	if got, err := wire.ParseDown([]byte(`{"type":"ping","seq":null}`)); err != nil || got != (wire.Ping{}) {
		t.Errorf("got %#v, %v", got, err)
	}
}

func TestABadFrameFromAGatewayIsReported(t *testing.T) {
	for _, frame := range []string{
		``, `[]`, `<html>`, `{"type":"ping","seq":-1}`, `{"type":"ping","type":"ping"}`,
		`{"type":"auth_success","machineId":7}`, `{"type":"auth_success","machineId":"m","recovered":"yes"}`,
		`{"type":"auth_success","machineId":"m","expiresAt":"soon"}`, `{"type":"token","expiresAt":5}`,
		`{"type":"error","message":{}}`, `{"type":"gap","seq":1.5}`, `{"type":"data","seq":9007199254740992,"data":1}`,
		`{"type":"auth_success","machineId":"m","heartbeatSeconds":"30"}`,
	} {
		if got, err := wire.ParseDown([]byte(frame)); err == nil {
			t.Errorf("%s became %#v", frame, got)
		}
	}
}

func TestErrorsNeverCarryWhatWasSent(t *testing.T) {
	const secret = "flk_SECRET"
	for _, frame := range []string{
		secret, `"` + secret + `"`, `{"` + secret + `":1,"` + secret + `":2}`, `{"type":"auth","apiKey":["` + secret + `"]}`,
		`{"type":"auth","apiKey":"` + secret + `","sessionToken":"x"}`, `{"type":"auth","apiKey":"` + strings.Repeat(secret, 500) + `"}`,
		`{"type":"auth","apiKey":"` + secret, `{"type":"auth","apiKey":"k","v":"` + secret + `"}`,
	} {
		for _, parse := range []func([]byte) error{upError, downError} {
			if err := parse([]byte(frame)); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", frame, err)
			}
		}
	}
}

func upError(frame []byte) error   { _, err := wire.ParseUp(frame); return err }
func downError(frame []byte) error { _, err := wire.ParseDown(frame); return err }

func TestAPongIsReadTheSameHoweverItIsWritten(t *testing.T) {
	for _, seq := range []string{"0", "1", "10", "999999999999999", "1000000000000000", "9007199254740991"} {
		quick, err := wire.ParseUp([]byte(`{"type":"pong","seq":` + seq + `}`))
		slow, err2 := wire.ParseUp([]byte(`{"type": "pong", "seq": ` + seq + ` }`))
		if err != nil || err2 != nil || !reflect.DeepEqual(quick, slow) {
			t.Errorf("seq %s: %v, %v; %v, %v", seq, quick, err, slow, err2)
		}
	}
	for _, seq := range []string{"", "01", "1e3", "-1", "1.0", "9007199254740992", "1,\"seq\":2"} {
		if got, err := wire.ParseUp([]byte(`{"type":"pong","seq":` + seq + `}`)); err == nil {
			t.Errorf("seq %q became %v", seq, got)
		}
	}
}

func TestAFieldIsFoundTwiceAmongMany(t *testing.T) {
	many := `{"type":"pong"`
	for i := range 100 {
		many += fmt.Sprintf(`,"field%d":%d`, i, i)
	}
	if got, err := wire.ParseUp([]byte(many + `,"seq":7}`)); err != nil || *got.(wire.Pong).Seq != 7 {
		t.Errorf("the last of many fields was read as %+v, %v", got, err)
	}
	for _, again := range []string{`"type":1`, `"field0":1`, `"field99":1`, `"\u0066ield50":1`} {
		if got, err := wire.ParseUp([]byte(many + "," + again + "}")); err == nil {
			t.Errorf("%s for the second time was read as %+v", again, got)
		}
	}
}
