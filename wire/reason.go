package wire

import (
	"strconv"
	"strings"
	"time"
)

const retryField = "retryAfterMs="

// CloseReason is the reason of a close frame that asks the client to stay away for after:
// "drain; retryAfterMs=1500". Without a wait it is the code alone.
func CloseReason(code Code, after time.Duration) string {
	if after <= 0 {
		return string(code)
	}
	return string(code) + "; " + retryField + strconv.FormatInt(after.Milliseconds(), 10)
}

// RetryAfter finds in the reason of a close frame how long the gateway asks to stay away; 0 if it
// does not say. The number is bounded as a position is.
func RetryAfter(reason string) time.Duration {
	for part := range strings.SplitSeq(reason, ";") {
		digits, ok := strings.CutPrefix(strings.TrimSpace(part), retryField)
		if !ok {
			continue
		}
		if ms, err := strconv.ParseUint(digits, 10, 64); err == nil {
			return Milliseconds(ms)
		}
	}
	return 0
}

// Milliseconds makes a duration of a number from the wire; one that is too large for a Duration
// becomes the longest.
func Milliseconds(ms uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond
}
