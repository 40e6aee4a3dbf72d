package js_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// page is a web site whose one page is a machine.
type page struct {
	told
	site     *httptest.Server
	settings atomic.Value // a string, from when there is a gateway
}

func newPage(t *testing.T) *page {
	p := &page{told: make(told, 4096)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "test/page.html") })
	mux.Handle("GET /src/", http.FileServer(http.Dir(".")))
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, p.settings.Load().(string)) })
	mux.HandleFunc("POST /event", func(_ http.ResponseWriter, r *http.Request) {
		var e event
		if json.NewDecoder(r.Body).Decode(&e) == nil {
			p.told <- e
		}
	})
	p.site = httptest.NewServer(mux)
	t.Cleanup(p.site.Close)
	return p
}

// open shows the page in a Chromium of its own, which reaches nothing but this machine.
func (p *page) open(t *testing.T) {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	chromium := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--user-data-dir="+profile, p.site.URL)
	chromium.Cancel = func() error { return chromium.Process.Signal(syscall.SIGTERM) } // so that it ends its children
	chromium.WaitDelay = 20 * time.Second
	if err := chromium.Start(); err != nil {
		t.Fatalf("starting the browser (make setup installs it): %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = chromium.Wait()
		_ = os.RemoveAll(profile)
	})
}

func TestAMachineInAPageLivesUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	p := newPage(t)
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Origins: []string{p.site.URL}})
	account, key := g.AddAccount("page")
	to := api.Target{Account: account}
	p.settings.Store(fmt.Sprintf(`{"server":%q,"apiKey":%q}`, g.URL, key))
	p.open(t)
	p.isState(t, "connected")
	p.shows(t, g.Publish(to, `{"hello":["page",1.5,null]}`), `{"hello":["page",1.5,null]}`)

	g.Stop()
	p.isState(t, "waiting")
	g.Resume()
	p.shows(t, g.Publish(to, `"after the restart"`), `"after the restart"`)

	p.shows(t, g.Publish(to, `{"then":"reload"}`), `{"then":"reload"}`)
	p.isState(t, "connecting") // anew: a page that is left says nothing
	p.isState(t, "connected")
	p.shows(t, g.Publish(to, `"after the reload"`), `"after the reload"`)

	p.isSlow(t, g, to)

	deleteOnly(t, g, account)
	if e := p.ends(t, "machine_deleted"); e.Kept != "deletedWith,hwid" {
		t.Errorf("after the deletion the page keeps %s", e.Kept)
	}
}

// isSlow sends more than a page may hold while its handler waits for what that leads to: the line is
// given up, and nothing is lost and nothing comes twice.
func (p *page) isSlow(t *testing.T, g *fleetlinetest.Gateway, to api.Target) {
	t.Helper()
	p.shows(t, g.Publish(to, `{"wait":"until cut"}`), `{"wait":"until cut"}`)
	pad := strings.Repeat("x", 200_000)
	const many = 80 // 16 MB: the page keeps 4 + 8
	var sent [many]api.Receipt
	for i := range sent {
		sent[i] = g.Publish(to, fmt.Sprintf(`{"n":%d,"pad":%q}`, i, pad))
	}
	for i := range sent {
		p.shows(t, sent[i], fmt.Sprint(i))
	}
}
