package admin

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/embedded"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded server keeps one process-wide ticker for its rough clock.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/gsl.tick"))
}

const testToken = "tok_0123456789abcdefghijklmnopqrstuvwxyz"

// door is a whole admin door on a port, over the real log and the real directory.
type door struct {
	*api.Client
	t      testing.TB
	admin  *Admin
	broker *broker.Broker
	dir    *embedded.Directory
	server *http.Server
	url    string
	log    *syncBuffer

	delivered atomic.Uint64

	mu sync.Mutex
	// guarded by mu
	online   map[string]int
	held     []api.HeldDeletion
	notReady []string
}

// bend changes a door's configuration before it opens.
type bend func(*Config)

func openDoor(t testing.TB, bends ...bend) *door {
	t.Helper()
	d := &door{t: t, online: map[string]int{}, log: &syncBuffer{}}
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if d.broker, err = broker.Open(t.Context(), broker.Config{Dir: t.TempDir(), MaxBytes: 256 << 20, Logger: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.broker.Close() })
	d.dir, err = embedded.Open(t.Context(), embedded.Config{
		JetStream: d.broker.JetStream(), Installation: d.broker.Installation(), BucketBytes: d.broker.BucketBytes(), Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.dir.Close)
	d.hear()
	d.serve(log, bends)
	return d
}

// hear runs the log's tail, which the broker needs to vouch for itself.
func (d *door) hear() {
	ctx, cancel := context.WithCancel(context.Background())
	var tail sync.WaitGroup
	tail.Go(func() { d.broker.Tail(ctx, func(*broker.Entry) {}) })
	d.t.Cleanup(func() { cancel(); tail.Wait() })
}

func (d *door) serve(log *slog.Logger, bends []bend) {
	d.t.Helper()
	registry := prometheus.NewRegistry()
	shelf, err := broker.OpenShelf(d.t.Context(), d.broker, "tokens")
	if err != nil {
		d.t.Fatal(err)
	}
	events, err := broker.OpenEvents(d.t.Context(), d.broker)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(events.Close)
	cfg := Config{
		Token: testToken, Publisher: d.broker, Tokens: shelf, Events: events, Onlooker: d.broker, Counts: d.counts,
		Accounts: d.dir.Accounts(), AccountAdmin: d.dir.Accounts(), Machines: d.dir.Machines(), MachineAdmin: d.dir.Machines(),
		Online: d.sessions, Look: d.look, OnlineIDs: d.onlineIDs, Ready: d.reasons,
		Deletions: Deletions{List: d.listHeld, Confirm: d.confirmHeld},
		Directory: func() api.DirectoryHealth {
			return api.DirectoryHealth{Accounts: "live", Machines: "polling, because of a test"}
		},
		Backup:  func(context.Context, io.Writer) error { return broker.ErrUnavailable },
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), Registerer: registry, Logger: log,
	}
	for _, b := range bends {
		b(&cfg)
	}
	if d.admin, err = New(cfg); err != nil {
		d.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	d.server, d.url = d.admin.Server(), "http://"+l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { d.server.Serve(l) })
	d.Client, err = api.NewClient(d.url, testToken)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		d.Client.Close()
		d.server.Close()
		d.admin.drain()
		serving.Wait()
	})
}

func (d *door) listHeld() []api.HeldDeletion {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.held)
}

func (d *door) confirmHeld(_ context.Context, choose func(string) bool) api.ConfirmedDeletions {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.held)
	d.held = slices.DeleteFunc(d.held, func(h api.HeldDeletion) bool { return choose(h.ID) })
	return api.ConfirmedDeletions{Deleted: before - len(d.held)}
}

func (d *door) sessions(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.online[id]
}

func (d *door) look(machine, account string) api.Why {
	w := api.Why{Sessions: []api.LiveSession{}}
	for range d.sessions(machine) {
		w.Sessions = append(w.Sessions, api.LiveSession{ID: "ses_x", Since: time.Now()})
	}
	for _, h := range d.listHeld() {
		if h.ID == machine || h.ID == account {
			w.Held = &h
		}
	}
	return w
}

func (d *door) onlineIDs() (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.online {
		ids = append(ids, id)
	}
	return ids
}

func (d *door) counts() Counts { return Counts{Delivered: d.delivered.Add(100), Admitted: 7} }

func (d *door) reasons() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notReady)
}

func (d *door) setOnline(id string, sessions int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.online[id] = sessions
}

// account makes an account, over the API.
func (d *door) account() api.AccountKey {
	d.t.Helper()
	k, err := d.AddAccount(d.t.Context(), "an account")
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

// enrol makes machines, as the gateway does.
func (d *door) enrol(k api.AccountKey, hwids ...string) (ids []string) {
	d.t.Helper()
	var asked []directory.Enrolment
	for _, h := range hwids {
		asked = append(asked, directory.Enrolment{
			AccountID: k.ID, Digest: directory.Key(k.APIKey).Digest(), Info: &directory.MachineInfo{HWID: h, Hostname: "host-" + h},
		})
	}
	for i, a := range d.dir.Machines().Enrol(d.t.Context(), asked) {
		if a.Verdict != directory.Found {
			d.t.Fatalf("enrolling %s: %v", hwids[i], a.Verdict)
		}
		ids = append(ids, a.Machine.ID)
	}
	return ids
}

// rawAnswer is what a raw request got.
type rawAnswer struct {
	status int
	header http.Header
	body   string
}

// raw makes a request with any method, path, body and headers ("Name: value").
func (d *door) raw(method, path, body string, headers ...string) rawAnswer {
	d.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, in)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return rawAnswer{resp.StatusCode, resp.Header, string(b)}
}

// syncBuffer is a log that a test reads while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
