package standin

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// spoil applies the faults of REST: it answers by itself, or bends what will be answered.
func (t *trouble) spoil(w http.ResponseWriter, r *http.Request, f Faults) (_ http.ResponseWriter, answered bool) {
	if f.Status == 0 && f.Body == Whole && f.Delay == 0 || !strings.HasPrefix(r.Method+" "+r.URL.Path, f.Only) {
		return w, false
	}
	t.mu.Lock()
	t.spoiled++
	over := f.Times > 0 && t.spoiled > f.Times
	t.mu.Unlock()
	switch {
	case over:
		return w, false
	case f.Status != 0:
		answerStatus(w, f)
	case f.Body == HTML:
		page(w, http.StatusOK, "Sign in to continue")
	case f.Body == Garbage:
		writeText(w, "[{]\"nothing: that is JSON")
	case f.Body == Empty:
		writeText(w, "[]")
	case f.Body == Null:
		writeText(w, "null")
	default:
		return &bent{ResponseWriter: w, faults: f, done: r.Context().Done()}, false
	}
	return w, true
}

func writeText(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Range", "*/*")
	_, _ = w.Write([]byte(body))
}

// answerStatus speaks as whoever answers with that status on the platform: the API gateway in JSON,
// Cloudflare with pages.
func answerStatus(w http.ResponseWriter, f Faults) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
	}
	switch f.Status {
	case http.StatusUnauthorized:
		refuse(w, f.Status, "Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
	case http.StatusPaymentRequired:
		refuse(w, f.Status, "Service for this project is restricted due to the following violations: exceed_egress_quota.", "")
	case http.StatusForbidden:
		refuse(w, f.Status, "Forbidden", "")
	case http.StatusTooManyRequests:
		refuse(w, f.Status, "API rate limit exceeded", "")
	case http.StatusServiceUnavailable:
		writeError(w, noConnection)
	case 540:
		refuse(w, f.Status, "Project paused", "")
	case 544:
		refuse(w, f.Status, "The connection to the database timed out", "")
	case 521:
		page(w, f.Status, "standin.supabase.co | 521: Web server is down")
	default:
		page(w, f.Status, fmt.Sprintf("%d: error", f.Status))
	}
}

// bent lets the truth through, late or not whole.
type bent struct {
	http.ResponseWriter
	faults Faults
	done   <-chan struct{}
}

// Unwrap lets http.ResponseController reach the connection.
func (b *bent) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// WriteHeader forgets the length of what is cut, so that the cut does not show.
func (b *bent) WriteHeader(status int) {
	if b.faults.Body == Truncated {
		b.Header().Del("Content-Length")
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *bent) Write(body []byte) (int, error) {
	half := len(body) / 2
	switch b.faults.Body {
	case CutOff:
		_, _ = b.ResponseWriter.Write(body[:half])
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	case Truncated:
		_, _ = b.ResponseWriter.Write(body[:half])
		return len(body), nil
	}
	_, _ = b.ResponseWriter.Write(body[:half])
	_ = http.NewResponseController(b.ResponseWriter).Flush()
	wait := time.NewTimer(b.faults.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-b.done:
	}
	_, _ = b.ResponseWriter.Write(body[half:])
	return len(body), nil
}
