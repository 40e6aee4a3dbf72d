package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestAPathIsOneWordForAShell(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // its shells have words of their own
	}
	for path, want := range map[string]string{
		"/tmp/fleetline-demo-1": "/tmp/fleetline-demo-1",
		"/tmp/my folder":        "'/tmp/my folder'",
		"/tmp/it's; rm":         `'/tmp/it'\''s; rm'`,
		`/tmp/back\slash`:       `'/tmp/back\slash'`,
	} {
		if got := quoted(path); got != want {
			t.Errorf("quoted(%s) is %s, want %s", path, got, want)
		}
	}
}

func TestWhatGoRunBuiltIsNotPastedIntoAnotherTerminal(t *testing.T) {
	for program, want := range map[string]bool{
		"/tmp/go-build2075286145/b001/exe/fleetline":                               true,
		"/home/me/.cache/go-build/6f/" + strings.Repeat("6f", 32) + "-d/fleetline": true,
		"/var/cache/mine/6f/" + strings.Repeat("6f", 32) + "-d/fleetline":          true,
		"/usr/local/bin/fleetline":                                                 false,
		"/home/me/fleetline-d/fleetline":                                           false,
	} {
		if got := isFromGoRun(program); got != want {
			t.Errorf("isFromGoRun(%s) is %v, want %v", program, got, want)
		}
	}
}

func TestEachGatewayHasAStateFileOfItsOwn(t *testing.T) {
	for server, want := range map[string]string{
		"ws://127.0.0.1:5000":         "127.0.0.1_5000",
		"wss://Gateway.Example/":      "gateway.example",
		"gateway.example:8443/line":   "gateway.example_8443_line",
		"wss://[2001:db8::1]:5000":    "_2001_db8__1__5000",
		"https://gateway.example/../": "gateway.example_..",
	} {
		if got := stateName(server); got != want || strings.ContainsAny(got, `/\`) {
			t.Errorf("stateName(%s) is %s, want %s", server, got, want)
		}
	}
}

func TestDataIsJSONOrATextAndNeverBrokenJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1.50}`: `{"a": 1.50}`,
		` [1] `:       `[1]`,
		"null":        "null",
		"17":          "17",
		"hello":       `"hello"`,
		"null hypo":   `"null hypo"`,
		`{"a":`:       "",
		`"open`:       "",
		`[1 2]`:       "",
		"  ":          "",
	} {
		got, err := dataOf([]byte(text))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("dataOf(%q) is %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestAnOperatorsAddressMayLeaveOutWhatIsObvious(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:5001":          "http://127.0.0.1:5001",
		"https://ops.example":     "https://ops.example",
		":5001":                   "http://127.0.0.1:5001",
		"0.0.0.0:5001":            "http://127.0.0.1:5001",
		"[::]:5001":               "http://127.0.0.1:5001",
		"ops.example:5001":        "http://ops.example:5001",
		"http://127.0.0.1:5001/x": "http://127.0.0.1:5001/x",
	} {
		if got := baseURL(addr); got != want {
			t.Errorf("baseURL(%s) is %s, want %s", addr, got, want)
		}
	}
}

func TestWhatIsWrongWithACommandIsToldALineEach(t *testing.T) {
	const want = "fleetline: 2 problems:\n  - one\n  - two\n"
	if got := explain(wrongUse{errors.Join(errors.New("one"), errors.New("two"))}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACertificateOfTheGatewaysOwnIsExplained(t *testing.T) {
	err := fmt.Errorf("calling the gateway: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})
	if got := explain(err); !strings.Contains(got, "hint: ") || !strings.Contains(got, "SSL_CERT_FILE=cert.pem") {
		t.Errorf("a person is told %q, and not how to go on", got)
	}
}
