package wire_test

import (
	"testing"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestACloseReasonSaysHowLongToStayAway(t *testing.T) {
	for reason, want := range map[string]time.Duration{
		wire.CloseReason(wire.CodeDrain, 1500*time.Millisecond): 1500 * time.Millisecond,
		wire.CloseReason(wire.CodeDrain, 0):                     0,
		"drain; retryAfterMs=0":                                 0,
		"drain; later=1; retryAfterMs=7":                        7 * time.Millisecond,
		"retryAfterMs=7":                                        7 * time.Millisecond,
		"drain; retryAfterMs=-7":                                0,
		"drain; retryAfterMs=soon":                              0,
		"drain; retryAfterMs=18446744073709551615":              wire.Milliseconds(1 << 63),
		"": 0,
	} {
		if got := wire.RetryAfter(reason); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", reason, got, want)
		}
	}
	if got := wire.CloseReason(wire.CodeDrain, 1500*time.Millisecond); got != "drain; retryAfterMs=1500" {
		t.Errorf("got %q", got)
	}
}

func TestOnlyCodesFrom4500To4999AreTerminal(t *testing.T) {
	for code, want := range map[wire.CloseCode]bool{
		1000: false, 1012: false, 4000: false, wire.CloseHeld: false, 4499: false,
		4500: true, wire.CloseBadKey: true, 4999: true, 5000: false,
	} {
		if got := code.Terminal(); got != want {
			t.Errorf("%d.Terminal() = %v", code, got)
		}
	}
}
