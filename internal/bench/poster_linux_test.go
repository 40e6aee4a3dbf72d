package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// posting is a poster at a server that does as handle does.
func posting(t *testing.T, handle http.HandlerFunc) (p *poster, request func(path string) []byte) {
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	addr := strings.TrimPrefix(s.URL, "http://")
	p = newPoster(addr)
	t.Cleanup(p.close) // before the server's, which waits for its connections
	return p, func(path string) []byte { return postText(addr, path, []byte("{}"), "X-Test: 1\r\n") }
}

func TestEachPostIsTakenOnceOrCountsAsFailed(t *testing.T) {
	var taken atomic.Int64
	p, request := posting(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Test") != "1" || r.ContentLength != 2:
			t.Errorf("the request came as %v with %d bytes", r.Header, r.ContentLength)
		case r.URL.Path == "/refuse":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/cut":
			panic(http.ErrAbortHandler)
		default:
			taken.Add(1)
		}
	})
	const each = 50
	for range each {
		for _, path := range []string{"/take", "/refuse", "/cut"} {
			p.post(request(path))
		}
	}
	failed, reason := p.settle(t.Context())
	if taken.Load() != each || failed != 2*each || reason == nil {
		t.Errorf("%d were taken and %d failed, because of %v; want %d and %d", taken.Load(), failed, reason, each, 2*each)
	}
	p.post(request("/take"))
	if failed, reason := p.settle(t.Context()); failed != 0 || reason != nil {
		t.Errorf("after that %d failed, because of %v; want none", failed, reason)
	}
}

func TestAPostThatIsNotAnsweredFailsWhenTheRunEnds(t *testing.T) {
	came, ctx := make(chan struct{}), t.Context()
	p, request := posting(t, func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		select {
		case <-r.Context().Done(): // the poster hangs up
		case <-ctx.Done():
		}
	})
	over, end := context.WithCancel(ctx)
	p.post(request("/wait"))
	<-came
	end()
	if failed, reason := p.settle(over); failed != 1 || reason == nil {
		t.Errorf("%d failed, because of %v; want 1", failed, reason)
	}
}
