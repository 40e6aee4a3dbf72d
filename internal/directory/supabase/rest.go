package supabase

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

const (
	// userAgent is our own: the platform refuses secret keys that come from a browser.
	userAgent = "fleetline"
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 1 << 20
	// maxURL keeps below what proxies take, about 8 KiB.
	maxURL = 7500
	// tries is how often one question is asked at most.
	tries = 3
)

// rest asks a project's REST interface.
type rest struct {
	// Fixed after construction.
	client *http.Client
	root   *url.URL
	key    directory.Key
	kind   keyKind
	schema string
	pace   pace
	counts *counters

	places chan struct{} // holds one for each request under way
	closed atomic.Bool
}

func newREST(c Config, root *url.URL, kind keyKind, counts *counters) *rest {
	transport := newTransport(func(p *http.Protocols) {
		p.SetHTTP1(true)
		p.SetHTTP2(true)
	})
	return &rest{
		client: &http.Client{Transport: transport, CheckRedirect: stay},
		root:   root, key: c.ServiceKey, kind: kind, schema: c.Names.Schema, pace: c.pace, counts: counts,
		places: make(chan struct{}, mostAtOnce),
	}
}

// close refuses what is asked from now on.
func (r *rest) close() {
	r.closed.Store(true)
	r.client.CloseIdleConnections()
}

// request is one question to the REST interface.
type request struct {
	kind  string // for the metrics: what is asked
	path  string // below /rest/v1/
	query url.Values
	body  any // sent by POST; nil: nothing, by GET
	// repeat: asking twice does no harm.
	repeat bool
	// count: the answer must say how many rows there are, so that one cut short shows.
	count bool
}

// answer is one with a status of success.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do asks until there is an answer, another try cannot help, or ctx would end before it. Every error
// is a *failure.
func (r *rest) do(ctx context.Context, q request) (answer, error) {
	for try := 0; ; try++ {
		a, f := r.once(ctx, q)
		if f == nil {
			return a, nil
		}
		pause := f.wait + rand.N(r.pace.retry<<try)
		if !q.repeat || !f.again || try == tries-1 || !sleepInside(ctx, pause) {
			return answer{}, f
		}
	}
}

// sleepInside sleeps, unless ctx ends before that is over.
func sleepInside(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (r *rest) once(ctx context.Context, q request) (answer, *failure) {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return answer{}, broken(ctx.Err())
	}
	if r.closed.Load() {
		return answer{}, errNobody
	}
	a, f := r.exchange(ctx, q)
	r.counts.add(q.kind, f)
	return a, f
}

func (r *rest) exchange(ctx context.Context, q request) (answer, *failure) {
	ctx, cancel := context.WithTimeout(ctx, r.pace.request)
	defer cancel()
	req, err := r.newRequest(ctx, q)
	if err != nil {
		return answer{}, &failure{text: "the question cannot be asked"}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, broken(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, broken(err)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return answer{}, refusal(resp, body)
	case len(body) > maxAnswer:
		return answer{}, unusable(resp.StatusCode, "the answer is longer than 1 MiB")
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

func (r *rest) newRequest(ctx context.Context, q request) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("encoding the question: %w", err)
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.address(q).String(), body)
	if err != nil {
		return nil, err
	}
	r.sign(req.Header)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.count {
		req.Header.Set("Prefer", "count=exact")
	}
	if r.schema != "public" {
		req.Header.Set("Accept-Profile", r.schema)
		req.Header.Set("Content-Profile", r.schema)
	}
	return req, nil
}

func (r *rest) address(q request) *url.URL {
	u := at(r.root, "/rest/v1/"+q.path)
	// A plus means a space to some readers of URLs and itself to others.
	u.RawQuery = strings.ReplaceAll(q.query.Encode(), "+", "%20")
	return u
}

// sign proves who asks. A secret key is no token and is refused as a bearer.
func (r *rest) sign(h http.Header) {
	h.Set("apikey", string(r.key))
	h.Set("User-Agent", userAgent)
	if r.kind == legacyKey {
		h.Set("Authorization", "Bearer "+string(r.key))
	}
}
