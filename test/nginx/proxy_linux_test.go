// Package nginx_test runs the real nginx with packaging/nginx.conf between machines and a gateway.
package nginx_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should happen soon; the machine may be busy.
const patience = 60 * time.Second

const (
	hostName = "gateway.example.com" // as the file has it
	// cloudflare stands in for one of its proxies, outsider for anybody else.
	cloudflare = "127.0.0.7"
	outsider   = "127.0.0.8"
)

// mainFile is what a distribution's nginx.conf says around the file, for a folder of its own.
const mainFile = `
daemon off;
worker_processes 2;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	include %[1]s/fleetline.conf;
}
`

// proxy is an nginx with the file of packaging/.
type proxy struct {
	// Fixed after construction.
	t             testing.TB
	dir           string
	secure, plain string // the addresses of ports 443 and 80
	roots         *x509.CertPool

	// Owned by whoever starts and stops it.
	command *exec.Cmd
	ended   chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	said bytes.Buffer
}

// change is a line of the file, and what stands there in a test.
type change struct{ from, to string }

// startProxy runs nginx before a gateway until the test ends.
func startProxy(t testing.TB, gateway string, more ...change) *proxy {
	t.Helper()
	p := &proxy{t: t, dir: makeDir(t)}
	// An address of its own, so that no other program has the port; below the ports of outgoing
	// connections, so that none gets it while nginx is down.
	ip, port := fmt.Sprintf("127.%d.%d.%d", 64+mathrand.N(128), mathrand.N(256), 1+mathrand.N(254)), 10000+mathrand.N(10000)
	p.secure, p.plain = net.JoinHostPort(ip, strconv.Itoa(port)), net.JoinHostPort(ip, strconv.Itoa(port+1))
	p.makeCertificate()
	_, upstream, _ := strings.Cut(gateway, "://")
	p.write("fleetline.conf", p.packaged(append([]change{
		{"listen 80;", "listen " + p.plain + ";"},
		{"listen [::]:80;", ""},
		{"listen 443 ssl backlog=4096;", "listen " + p.secure + " ssl backlog=4096;"},
		{"listen [::]:443 ssl backlog=4096;", ""},
		{"server 127.0.0.1:5000;", "server " + upstream + ";"},
		{"/etc/ssl/fleetline/cert.pem", filepath.Join(p.dir, "cert.pem")},
		{"/etc/ssl/fleetline/key.pem", filepath.Join(p.dir, "key.pem")},
		{"set_real_ip_from 173.245.48.0/20;", "set_real_ip_from " + cloudflare + ";"},
	}, more...)))
	p.write("nginx.conf", fmt.Sprintf(mainFile, p.dir))
	t.Cleanup(p.stop)
	p.start()
	return p
}

// packaged is the file that users install, with a few lines changed. A line that is not there, or not
// alone, fails the test.
func (p *proxy) packaged(changes []change) string {
	p.t.Helper()
	raw, err := os.ReadFile("../../packaging/nginx.conf")
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(raw)
	for _, c := range changes {
		if n := strings.Count(text, c.from); n != 1 {
			p.t.Fatalf("packaging/nginx.conf has %q %d times, want it once", c.from, n)
		}
		text = strings.Replace(text, c.from, c.to, 1)
	}
	return text
}

func (p *proxy) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// makeCertificate makes one for hostName, readable by whom nginx runs as.
func (p *proxy) makeCertificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{hostName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(cert)
	p.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// tls is how a machine checks that it has reached the right server.
func (p *proxy) tls() *tls.Config { return &tls.Config{RootCAs: p.roots, ServerName: hostName} }

// binary is where nginx is. Debian keeps it out of the PATH of users.
func binary() string {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	return "/usr/sbin/nginx"
}

// start returns when nginx takes connections.
func (p *proxy) start() {
	p.t.Helper()
	p.command = exec.Command(binary(), "-p", p.dir, "-c", filepath.Join(p.dir, "nginx.conf"), "-e", "stderr")
	p.command.Stderr = p
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if id, ok := substitute(p.t); ok {
		p.command.SysProcAttr.Credential = &id
	}
	if err := p.command.Start(); err != nil {
		p.t.Fatalf("starting nginx (make setup installs it): %v", err)
	}
	command, ended := p.command, make(chan struct{})
	p.ended = ended
	go func() { // ends with nginx; stop waits for it
		defer close(ended)
		_ = command.Wait()
	}()
	p.await("that it takes connections", func() bool {
		nc, err := net.Dial("tcp", p.secure)
		return err == nil && nc.Close() == nil
	})
}

// stop is `systemctl stop nginx`: what is open is cut.
func (p *proxy) stop() {
	if p.ended == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		<-p.ended
		p.t.Error("nginx did not stop")
	}
	p.ended = nil
}

// reload is `systemctl reload nginx`.
func (p *proxy) reload() {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	p.await("that the old workers retire", func() bool {
		return strings.Count(p.String(), "gracefully shutting down") >= 2
	})
}

func (p *proxy) await(what string, isSo func() bool) {
	p.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); !isSo(); {
		select {
		case <-p.ended:
			p.t.Fatalf("waiting for nginx, %s: it has ended:\n%s", what, p)
		case <-again.C:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waiting for nginx, %s: not within %s:\n%s", what, patience, p)
		}
	}
}

// Write takes what nginx says.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *proxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// makeDir makes a folder that belongs to whom nginx runs as.
func makeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fleetline-nginx-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if id, ok := substitute(t); ok {
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// substitute stands in for root: nothing here needs to be root.
func substitute(t testing.TB) (id syscall.Credential, ok bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return id, false
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, true
}
