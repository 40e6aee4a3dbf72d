package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

// client runs the program in an empty home, for a minute at most.
func client(t *testing.T, env []string, args ...string) (code int, out, err string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "fleetline", args...)
	home := t.TempDir()
	c.Dir, c.Env = home, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, raceOptions + "=" + quickEnd}, env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if runErr := c.Run(); runErr != nil {
		var exit *exec.ExitError
		if !errors.As(runErr, &exit) {
			t.Fatal(runErr)
		}
	}
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// startClient runs the program in an empty home, until stop or the end of the test.
func startClient(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p, home := newProcess(), t.TempDir()
	p.command = exec.Command("fleetline", args...)
	p.command.Dir, p.command.Env = home, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, raceOptions + "=" + quickEnd}, env...)
	p.command.Stdout, p.command.Stderr = &p.out, &p.err
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait() // ends with the process; stop waits for it
	t.Cleanup(p.stop)
	return p
}

func (p *process) waitFor(t *testing.T, wanted string) {
	t.Helper()
	late := time.After(patience)
	for pattern := regexp.MustCompile(wanted); p.search(pattern) == nil; {
		select {
		case <-p.grown:
		case <-late:
			t.Fatalf("it did not print %q:\n%s%s", wanted, &p.out, &p.err)
		}
	}
}

// servedCertificate is a server with a certificate that is good for as long as is said.
func servedCertificate(t *testing.T, h http.Handler, from, until time.Time, names ...string) (server *httptest.Server, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	card := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until,
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, card, card, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, file
}

// inFrontOf is a proxy as nginx is one, before a real gateway.
func inFrontOf(t *testing.T, g *fleetlinetest.Gateway) http.Handler {
	t.Helper()
	target, err := url.Parse("http://" + strings.TrimPrefix(g.URL, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	return proxy
}

func page(status int, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "nginx")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>hello</html>")
	})
}

func TestTheCheckSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	g := fleetlinetest.Start(t)
	now := time.Now()
	plain := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	secure := func(h http.Handler, from, until time.Time) (string, string) {
		s, file := servedCertificate(t, h, from, until)
		return s.URL, file
	}
	day := 24 * time.Hour
	untrusted, _ := secure(inFrontOf(t, g), now.Add(-day), now.Add(day))
	expired, expiredCA := secure(page(200), now.Add(-3*day), now.Add(-2*day))
	clockAt := func(at time.Time) http.Handler { return page(200, "Date", at.UTC().Format(http.TimeFormat)) }
	past, pastCA := secure(clockAt(now.Add(-10*day)), now.Add(-11*day), now.Add(-9*day))
	future, futureCA := secure(clockAt(now.Add(10*day)), now.Add(9*day), now.Add(11*day))
	wrongName, wrongNameCA := secure(inFrontOf(t, g), now.Add(-day), now.Add(day))
	wrongName = strings.Replace(wrongName, "127.0.0.1", "localhost", 1)
	noUpgrade := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Connection")
		r.Header.Del("Upgrade")
		inFrontOf(t, g).ServeHTTP(w, r)
	})
	for title, c := range map[string]struct {
		args []string
		want string
		todo string
	}{
		"no such name":       {[]string{"--server", "ws://nosuch.invalid:1"}, "nosuch.invalid", "DNS"},
		"nothing listens":    {[]string{"--server", "ws://127.0.0.1:" + spare(t)}, "refuses the connection", "Is the gateway running"},
		"not trusted":        {[]string{"--server", untrusted}, "comes from nobody this host trusts", "--ca FILE"},
		"another name":       {[]string{"--server", wrongName, "--ca", wrongNameCA}, "made out to another name: test, 127.0.0.1", "name of the certificate"},
		"expired":            {[]string{"--server", expired, "--ca", expiredCA}, "has expired on", "renew"},
		"clock ahead":        {[]string{"--server", past, "--ca", pastCA}, "this host's clock is wrong", "timedatectl"},
		"clock behind":       {[]string{"--server", future, "--ca", futureCA}, "this host's clock is wrong", "timedatectl"},
		"no TLS there":       {[]string{"--server", strings.Replace(g.URL, "ws:", "wss:", 1)}, "answers without TLS", "ws://"},
		"TLS wanted":         {[]string{"--server", strings.Replace(untrusted, "https:", "ws:", 1)}, "400 Bad Request", "wss://"},
		"a web page":         {[]string{"--server", plain(page(200))}, "a web page answers at", "browser"},
		"another web server": {[]string{"--server", plain(page(404))}, "is no Fleetline gateway: it answers 404 Not Found, nginx", "host, port and path"},
		"a lonely proxy":     {[]string{"--server", plain(page(502))}, "answers 502 Bad Gateway: it does not reach it", "error log"},
		"an access rule":     {[]string{"--server", plain(page(403))}, "wants to know who comes (403 Forbidden)", "not the reason"},
		"a login page":       {[]string{"--server", plain(page(302, "Location", "http://login.example/?x=secret"))}, "turned aside to http://login.example/", "log in"},
		"no WebSockets":      {[]string{"--server", plain(noUpgrade)}, "lets no WebSockets through", "proxy_http_version 1.1"},
	} {
		t.Run(title, func(t *testing.T) {
			code, out, stderr := client(t, nil, append([]string{"connect", "--check"}, c.args...)...)
			if code != exitFailure || !strings.Contains(out, c.want) || !strings.Contains(out, c.todo) || !strings.Contains(out, "fail  ") {
				t.Errorf("exit code %d; want %q and %q in\n%s%s", code, c.want, c.todo, out, stderr)
			}
			if strings.Contains(out+stderr, "secret") || stderr != "" {
				t.Errorf("standard error is %q", stderr)
			}
		})
	}
}

func TestACheckOfAGoodServerEndsWithZero(t *testing.T) {
	g := fleetlinetest.Start(t)
	secure, file := servedCertificate(t, inFrontOf(t, g), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--server", g.URL}, "none: the line is not encrypted"},
		{[]string{"--server", secure.URL, "--ca", file}, "the certificate is trusted"},
		{[]string{"--server", secure.URL, "--insecure"}, "warn  TLS      the certificate is NOT checked"},
		{[]string{"--server", g.URL, "--lang", "zh"}, "在线，WebSocket 可以到达"},
	} {
		code, out, _ := client(t, nil, append([]string{"connect", "--check"}, c.args...)...)
		if code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, want %q in\n%s", c.args, code, c.want, out)
		}
	}
	if _, out, _ := client(t, []string{"FLEETLINE_INSECURE=1"}, "connect", "--check", "--server", secure.URL); !strings.Contains(out, "WARNING: TLS IS NOT VERIFIED") {
		t.Errorf("no loud warning in\n%s", out)
	}
}

// connectProxy is a proxy that opens ways by CONNECT to one address, whatever name is asked for.
type connectProxy struct {
	to      string // host:port
	user    string // "" or what Proxy-Authorization must say
	refuses bool
	opened  atomic.Int32
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodConnect:
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	case p.user != "" && r.Header.Get("Proxy-Authorization") != p.user:
		w.Header().Set("Proxy-Authenticate", `Basic realm="test"`)
		http.Error(w, "who are you", http.StatusProxyAuthRequired)
		return
	case p.refuses:
		http.Error(w, "not there", http.StatusForbidden)
		return
	}
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	p.opened.Add(1)
	go func() { _, _ = io.Copy(there, buffered); _ = there.Close() }() // ends with the connections
	_, _ = io.Copy(here, there)
}

func TestWSSGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	g := fleetlinetest.Start(t)
	_, key := g.AddAccount("proxied")
	secure, file := servedCertificate(t, inFrontOf(t, g), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "gateway.test")
	proxy := &connectProxy{to: secure.Listener.Addr().String(), user: "Basic dXNlcjpodW50ZXIy"} // user:hunter2
	front := httptest.NewServer(proxy)
	defer front.Close()
	host := strings.TrimPrefix(front.URL, "http://")
	connect := func(proxy string, more ...string) (int, string, string) {
		args := append([]string{"connect", "--server", "wss://gateway.test", "--ca", file, "--state-dir", "state"}, more...)
		return client(t, []string{"HTTPS_PROXY=" + proxy, "FLEETLINE_API_KEY=" + key}, args...)
	}

	if code, out, _ := connect("http://user:hunter2@"+host, "--check"); code != exitOK || strings.Contains(out, "hunter2") || !strings.Contains(out, "ok    proxy    http://user:xxxxx@"+host) {
		t.Errorf("through the proxy: exit code %d\n%s", code, out)
	}
	machine := startClient(t, []string{"HTTPS_PROXY=http://user:hunter2@" + host, "FLEETLINE_API_KEY=" + key},
		"connect", "--server", "wss://gateway.test", "--ca", file, "--state-dir", "state")
	machine.waitFor(t, "connected: machine mch_")
	g.Publish(api.Target{All: true}, `"through"`)
	machine.waitFor(t, `"through"`)
	machine.stop()
	if proxy.opened.Load() < 3 {
		t.Errorf("the proxy opened %d ways", proxy.opened.Load())
	}

	for title, c := range map[string]struct{ proxy, want, todo string }{
		"no password": {"http://" + host, "wants a user and a password (407)", "HTTPS_PROXY=http://user:password@host:port"},
		"not there":   {"http://127.0.0.1:" + spare(t), "cannot be reached", "Check its address"},
	} {
		if code, out, _ := connect(c.proxy, "--check"); code != exitFailure || !strings.Contains(out, c.want) || !strings.Contains(out, c.todo) {
			t.Errorf("%s: exit code %d, want %q in\n%s", title, code, c.want, out)
		}
	}
	refusing := httptest.NewServer(&connectProxy{refuses: true})
	defer refusing.Close()
	if code, out, _ := connect(refusing.URL, "--check"); code != exitFailure || !strings.Contains(out, "opens no way to gateway.test (403 Forbidden)") {
		t.Errorf("a proxy that refuses: exit code %d\n%s", code, out)
	}
}
