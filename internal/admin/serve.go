package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/api"
)

// call is one request on its way: the writer of its answer, and what a log line says of it.
type call struct {
	http.ResponseWriter
	request   *http.Request
	requestID string
	caller    caller
	status    int // 0 until the answer has begun
}

type callKey struct{}

// callOf finds the call that a handler works for.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// attrs say who asked for what.
func (c *call) attrs(what string) []slog.Attr {
	return []slog.Attr{slog.String("call", what), slog.String("by", c.caller.id), slog.String("remote", c.request.RemoteAddr), slog.String("requestId", c.requestID)}
}

// cause prints an error without the id that the caller gave: a key may have been pasted there.
func (c *call) cause(err error) string {
	if id := c.request.PathValue("id"); id != "" {
		return strings.ReplaceAll(err.Error(), id, "(id)")
	}
	return err.Error()
}

// bodyRead takes back the time limit of the body: its passing would end the call that follows.
func (c *call) bodyRead() {
	if c.request.ContentLength != 0 {
		http.NewResponseController(c.ResponseWriter).SetReadDeadline(time.Time{})
	}
}

// WriteHeader lets the first status win.
func (c *call) WriteHeader(status int) {
	if c.status != 0 {
		return
	}
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap leads http.ResponseController to the connection.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// ServeHTTP answers one request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &call{ResponseWriter: w, requestID: a.ids.next()}
	h := w.Header()
	h.Set("X-Request-Id", c.requestID)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.request = r
	defer func() {
		// The route is known only now: the mux writes it into the request.
		defer func() { a.metrics.observe(r.Pattern, c.status, time.Since(began)) }()
		if v := recover(); v != nil {
			a.panicked(c, r, v)
		}
	}()
	if refused := a.admit(c); refused != nil {
		if r.ContentLength < 0 {
			// Otherwise net/http would wait for more of a stream before it refuses it.
			h.Set("Connection", "close")
		}
		writeProblem(c, refused)
		return
	}
	a.mux.ServeHTTP(c, r)
}

func (a *Admin) admit(c *call) (refused *api.Error) {
	if refused := a.guard.admit(c.request); refused != nil {
		return refused
	}
	if isPublic(c.request.URL.Path) {
		return checkMedia(c.request)
	}
	if c.caller, refused = a.identify(c.request); refused != nil {
		return refused
	}
	if refused := a.authorize(c.caller, c.request); refused != nil {
		return refused
	}
	return checkMedia(c.request)
}

// checkMedia lets JSON in and nothing else. A body of another type is what a page of another site
// can send without asking (a "simple" request), and what curl sends when nobody tells it.
func checkMedia(r *http.Request) *api.Error {
	if r.ContentLength == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && (media == "application/json" || media == api.StreamType && r.URL.Path == messagesPath) {
		return nil
	}
	return api.NewError(api.CodeUnsupportedMedia, "the body is not declared as JSON")
}

// panicked answers for a handler that cannot. The value of a panic may be anything, a key too, so
// only errors of the Go runtime are printed.
func (a *Admin) panicked(c *call, r *http.Request, v any) {
	if v == http.ErrAbortHandler || r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to be told
	}
	what := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error()
	}
	a.log.LogAttrs(r.Context(), slog.LevelError, "admin call panicked", slog.String("route", r.Pattern),
		slog.String("requestId", c.requestID), slog.String("panic", what), slog.String("stack", string(debug.Stack())))
	if c.status != 0 {
		panic(http.ErrAbortHandler) // a cut answer must not look like a whole one
	}
	writeProblem(c, api.NewError(api.CodeInternal, "the gateway could not serve this request"))
}

// noRoute tells a path nobody serves from one that is served by other methods.
func (a *Admin) noRoute(w http.ResponseWriter, r *http.Request) {
	allowed := false
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			w.Header().Add("Allow", method)
			allowed = true
		}
	}
	if allowed {
		writeProblem(w, api.NewError(api.CodeMethodNotAllowed, "this path does not serve this method"))
		return
	}
	writeProblem(w, api.NewError(api.CodeNotFound, "there is nothing at this path"))
}

// requestIDs makes ids that are unique among the log lines of many gateways: a random start, and a
// count.
type requestIDs struct {
	prefix string
	count  *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var b [6]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return requestIDs{prefix: hex.EncodeToString(b[:]) + "-", count: new(atomic.Uint64)}
}

func (g requestIDs) next() string { return g.prefix + strconv.FormatUint(g.count.Add(1), 36) }
