package supabase

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// failure is a request that told nothing. Its text never repeats what came back: PostgREST puts
// whole rows into its details, and errors of net/http hold the URL.
type failure struct {
	status int           // of the answer; 0 if none came
	code   string        // of PostgREST or of the database; "" if none
	text   string        // if no status came, or it was a good one
	wait   time.Duration // what the project asks for before another try
	again  bool          // another try may help
}

func (f *failure) Error() string {
	if f.text != "" {
		return f.text
	}
	text := "HTTP " + strconv.Itoa(f.status)
	if f.code != "" {
		text += " " + f.code
	}
	if m := meaning(f.status); m != "" {
		text += " (" + m + ")"
	}
	return text
}

// Is makes every failure a directory.ErrUnavailable.
func (f *failure) Is(target error) bool { return target == directory.ErrUnavailable }

// outcome names the failure for a metric: a bounded number of words.
func (f *failure) outcome() string {
	switch {
	case f.status == 0:
		return "no_answer"
	case f.text != "":
		return "unusable"
	}
	return "http_" + strconv.Itoa(f.status)
}

// meaning says in words what the platform means by a status.
func meaning(status int) string {
	switch status {
	case 401:
		return "the key is refused"
	case 402:
		return "the project is restricted: look at its quota and bills"
	case 429:
		return "too many requests"
	case 520, 521, 522, 523, 524, 525, 526, 527:
		return "the platform does not reach the project"
	case 540:
		return "the project is paused"
	case 544:
		return "the project did not answer its gateway in time"
	}
	return ""
}

// isPassing tells the states that may be over in a moment.
func isPassing(status int) bool {
	switch status {
	case 429, 502, 503, 504, 544:
		return true
	}
	return status >= 520 && status <= 527
}

// unusable is a good status with something else in it than was asked for.
func unusable(status int, text string) *failure { return &failure{status: status, text: text} }

// validCode is what codes look like; anything else in their place may be anything.
var validCode = regexp.MustCompile(`^(PGRST[A-Z0-9]{1,3}|[0-9A-Z]{5})$`)

// refusal turns an answer that is not a success into a failure.
func refusal(resp *http.Response, body []byte) *failure {
	f := &failure{status: resp.StatusCode, again: isPassing(resp.StatusCode), wait: retryAfter(resp.Header)}
	var e struct{ Code string }
	if json.Unmarshal(body, &e) == nil && validCode.MatchString(e.Code) {
		f.code = e.Code
	}
	return f
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// errNobody is no fault of the project's.
var errNobody = &failure{text: "nobody waits for the answer any more"}

// broken says in our own words why no whole answer came.
func broken(err error) *failure {
	f := &failure{again: true}
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var number syscall.Errno
	switch {
	case errors.Is(err, context.Canceled):
		return errNobody
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		f.text = "no answer in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		f.text = "the host name is not known: is the project paused or deleted?"
	case errors.As(err, &dns):
		f.text = "the host name cannot be looked up"
	case errors.As(err, &certificate):
		f.text, f.again = "the host's certificate is not valid", false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.text = "the connection was closed before the answer was whole"
	case errors.As(err, &number):
		f.text = "the connection failed: " + number.Error()
	default:
		f.text = fmt.Sprintf("the connection failed (%T)", innermost(err))
	}
	return f
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// innermost is the error that all others wrap.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
