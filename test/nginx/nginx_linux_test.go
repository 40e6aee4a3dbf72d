package nginx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// quiet is a heartbeat so long that nothing is said on a line for as long as a test takes.
const quiet = 10 * time.Minute

func TestALineOnWhichNothingIsSaidForMoreThanAMinuteLives(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Heartbeat: quiet})
	p := startProxy(t, g.URL)
	m := p.connect(t, g, fleetline.Config{})
	session := m.client.Status().SessionID
	// nginx's own default is 60 s, counted from the last byte of either side.
	m.staysConnected(62 * time.Second)
	g.Publish(api.Target{All: true}, `1`)
	m.reaches(1, "after the silence")
	if now := m.client.Status().SessionID; now != session {
		t.Errorf("the session is %s, and was %s", now, session)
	}
}

// Without it the test above would also pass if something else kept the line busy.
func TestAReadTimeoutShorterThanTheHeartbeatCutsALine(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Heartbeat: quiet})
	p := startProxy(t, g.URL, change{"proxy_read_timeout 1h;", "proxy_read_timeout 2s;"})
	m := p.connect(t, g, fleetline.Config{})
	select {
	case <-m.cut:
	case <-time.After(patience):
		t.Error("the line lives")
	}
}

func TestTheGatewaySeesTheTrueAddressWhateverTheClientClaims(t *testing.T) {
	t.Parallel()
	seen := new(journal)
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Logger: slog.New(slog.NewJSONHandler(seen, nil))})
	p := startProxy(t, g.URL)
	const forged, other, machine, machine6 = "198.51.100.66", "198.51.100.67", "203.0.113.5", "2001:db8::5"
	for _, c := range []struct {
		name, from string
		header     http.Header
		want       string
	}{
		{"directly", outsider, nil, outsider},
		{"directly, with every header that names an address", outsider, http.Header{
			"Cf-Connecting-Ip": {forged}, "X-Forwarded-For": {other, forged}, "X-Real-Ip": {forged},
			"True-Client-Ip": {forged}, "Cf-Connecting-Ipv6": {machine6}, "Forwarded": {"for=" + forged},
		}, outsider},
		{"directly, as if nginx were another hop", outsider, http.Header{"X-Forwarded-For": {forged + ", 127.0.0.1"}}, outsider},
		{"through Cloudflare", cloudflare, http.Header{"Cf-Connecting-Ip": {machine}, "X-Forwarded-For": {machine}}, machine},
		{"through Cloudflare by IPv6", cloudflare, http.Header{"Cf-Connecting-Ip": {machine6}, "X-Forwarded-For": {machine6}}, machine6},
		// Cloudflare sets CF-Connecting-IP itself and appends to X-Forwarded-For.
		{"through Cloudflare with a forged chain", cloudflare, http.Header{
			"Cf-Connecting-Ip": {machine}, "X-Forwarded-For": {forged + ", 127.0.0.1, " + machine}, "X-Real-Ip": {forged},
		}, machine},
	} {
		m := p.connect(t, g, fleetline.Config{Header: c.header, DialContext: dialFrom(c.from)})
		session := m.client.Status().SessionID
		var got string
		p.await("that the gateway notes session "+session, func() bool {
			got = seen.addressOf(session)
			return got != ""
		})
		if got != c.want {
			t.Errorf("%s: the gateway sees %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAFleetLosesNothingWhenNginxIsReloadedAndRestarted(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 200)
	f.publish("before")
	if from := addressesOfConnectionsTo(t, f.gateway.URL); len(from) < 2 {
		t.Errorf("all connections to the gateway come from %v: that is the ports of one address", from)
	}
	f.proxy.reload()
	f.publish("after nginx was told to read its files again")
	for _, m := range f.machines {
		if n := m.connected.Load(); n != 1 {
			t.Errorf("%s connected %d times: a reload cuts nobody", m.name, n)
		}
	}
	f.proxy.stop()
	f.store()
	f.proxy.start()
	f.publish("after a restart of nginx")
	f.haveAllComeBack()
}

func TestAFleetBehindNginxLosesNothingWhenTheGatewayIsRestarted(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 50)
	f.publish("before")
	f.gateway.Stop()
	f.gateway.Resume()
	f.publish("after a restart of the gateway")
	f.haveAllComeBack()
}

// fleet is machines behind one nginx that all get the same whole numbers.
type fleet struct {
	t        *testing.T
	gateway  *fleetlinetest.Gateway
	proxy    *proxy
	machines []*machine
	sent     int64
}

func startFleet(t *testing.T, machines int) *fleet {
	t.Helper()
	f := &fleet{t: t, gateway: fleetlinetest.Start(t)}
	f.proxy = startProxy(t, f.gateway.URL)
	_, key := f.gateway.AddAccount("fleet")
	for n := range machines {
		f.machines = append(f.machines, f.proxy.enrol(t, key, fmt.Sprint("machine-", n)))
	}
	return f
}

// store publishes and does not look who gets it.
func (f *fleet) store() {
	f.t.Helper()
	for range 10 {
		f.sent++
		f.gateway.Publish(api.Target{All: true}, strconv.FormatInt(f.sent, 10))
	}
}

// publish waits until every machine has read everything.
func (f *fleet) publish(when string) {
	f.t.Helper()
	f.store()
	for _, m := range f.machines {
		m.reaches(f.sent, when)
	}
}

func (f *fleet) haveAllComeBack() {
	f.t.Helper()
	for _, m := range f.machines {
		if n := m.connected.Load(); n < 2 {
			f.t.Errorf("%s connected %d times, and was cut", m.name, n)
		}
	}
}

func TestOnPort80OnlyTheWayToTheOtherIsShown(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	p := startProxy(t, g.URL)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + p.plain + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	host, _, _ := net.SplitHostPort(p.plain)
	if got, want := resp.Header.Get("Location"), "https://"+host+"/ws"; resp.StatusCode != http.StatusMovedPermanently || got != want {
		t.Errorf("got %s to %q, want a redirect to %q", resp.Status, got, want)
	}
}

func TestTheLinesToChangeAreMarked(t *testing.T) {
	raw, err := os.ReadFile("../../packaging/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	var marked []string
	for line := range strings.Lines(string(raw)) {
		if setting, mark, _ := strings.Cut(line, "#"); strings.Contains(mark, "CHANGE") && strings.TrimSpace(setting) != "" {
			marked = append(marked, strings.Fields(setting)[0])
		}
	}
	if got, want := strings.Join(marked, " "), "server server_name server_name ssl_certificate ssl_certificate_key"; got != want {
		t.Errorf("marked are %s, want %s", got, want)
	}
}

// machine is a client behind nginx that reads whole numbers, which must come one after the other.
type machine struct {
	t         *testing.T
	name      string
	client    *fleetline.Client
	connected atomic.Int64
	cut       chan struct{} // closed when the line was down for the first time
	cutOnce   sync.Once
	last      atomic.Int64
	read      chan struct{} // one element: last has moved
	done      chan struct{}
}

// connect enrols a machine of an account of its own.
func (p *proxy) connect(t *testing.T, g *fleetlinetest.Gateway, config fleetline.Config) *machine {
	t.Helper()
	_, config.APIKey = g.AddAccount("nginx")
	config.Machine.HWID = "hw"
	return p.run(t, config)
}

func (p *proxy) enrol(t *testing.T, key, hwid string) *machine {
	t.Helper()
	return p.run(t, fleetline.Config{APIKey: key, Machine: fleetline.MachineInfo{HWID: hwid}})
}

func (p *proxy) run(t *testing.T, config fleetline.Config) *machine {
	t.Helper()
	m := &machine{t: t, name: config.Machine.HWID, cut: make(chan struct{}), read: make(chan struct{}, 1), done: make(chan struct{})}
	config.TLS = p.tls()
	config.OnStatus = m.hear
	config.OnGap = func(g fleetline.Gap) { t.Errorf("%s is told of a gap: %+v", m.name, g) }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if m.client, err = fleetline.Connect(ctx, "wss://"+p.secure, config); err != nil {
		t.Fatalf("%v\n%s", err, p)
	}
	go m.readAll() // ends with the client
	t.Cleanup(func() {
		_ = m.client.Close()
		<-m.done
	})
	return m
}

func (m *machine) hear(s fleetline.Status) {
	switch s.Phase {
	case fleetline.Connected:
		m.connected.Add(1)
	case fleetline.Waiting:
		m.cutOnce.Do(func() { close(m.cut) })
	case fleetline.Ended:
		if s.Reason != fleetline.ErrClosed {
			m.t.Errorf("%s was told something terminal: %v", m.name, s.Reason)
		}
	}
}

func (m *machine) readAll() {
	defer close(m.done)
	for msg := range m.client.Messages(context.Background()) {
		if want := strconv.FormatInt(m.last.Load()+1, 10); string(msg.Data) != want {
			m.t.Errorf("%s read %s, want %s", m.name, msg.Data, want)
			return
		}
		m.last.Add(1)
		select {
		case m.read <- struct{}{}:
		default:
		}
	}
}

// reaches waits until the machine has read n.
func (m *machine) reaches(n int64, when string) {
	m.t.Helper()
	late := time.After(3 * patience) // a client waits up to a minute between two attempts
	for m.last.Load() < n {
		select {
		case <-m.read:
		case <-m.done:
			m.t.Fatalf("%s, %s: it has ended after message %d of %d", m.name, when, m.last.Load(), n)
		case <-late:
			m.t.Fatalf("%s, %s: it has read %d of %d messages: %+v", m.name, when, m.last.Load(), n, m.client.Status())
		}
	}
}

func (m *machine) staysConnected(d time.Duration) {
	m.t.Helper()
	begin := time.Now()
	select {
	case <-m.cut:
		m.t.Fatalf("the line was cut after %s: %v", time.Since(begin), m.client.Status().Reason)
	case <-time.After(d):
	}
}

// dialFrom dials as another host would.
func dialFrom(ip string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
}

// journal is what the gateway logs, as JSON.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// addressOf is where the gateway thinks that a session comes from.
func (j *journal) addressOf(session string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(j.text.Bytes()) {
		var entry struct{ Msg, Session, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "machine connected" && entry.Session == session {
			return entry.Addr
		}
	}
	return ""
}

// addressesOfConnectionsTo are those that connections to a port of this host come from.
func addressesOfConnectionsTo(t *testing.T, url string) map[string]bool {
	t.Helper()
	_, port, err := net.SplitHostPort(filepath.Base(url))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	from := make(map[string]bool)
	for line := range strings.Lines(string(table)) {
		// The second field is our end, the third the other one, the fourth is 01 while it lives.
		if f := strings.Fields(line); len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			other, _, _ := strings.Cut(f[2], ":")
			from[other] = true
		}
	}
	return from
}
