// Package server is the whole program as a type: it opens the parts, wires them, serves until it is
// told to stop, and stops them in order. It is the only place where rooms meet.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/fleetline/fleetline/internal/token"
	"github.com/fleetline/fleetline/wire"
)

// Secret is a setting that must not be seen. It prints as ***.
type Secret string

func (Secret) String() string   { return "***" }
func (Secret) GoString() string { return "***" }

// Config are the settings of a server. Zero means the default that each field names.
type Config struct {
	// DataDir is where everything is kept. Required.
	DataDir string
	// Addr is the machines' port, as host:port; port 0 takes any free one. "": ":5000".
	Addr string
	// AdminAddr is the operators' port, likewise. "": "127.0.0.1:5001".
	AdminAddr string
	// AdminToken opens the operators' port. "": the one in DataDir, made at the first start.
	AdminToken Secret
	// JWTSecret signs session tokens; JWTSecretPrevious still verifies them during a rotation.
	// "": the one in DataDir, made at the first start.
	JWTSecret         Secret
	JWTSecretPrevious Secret
	// SupabaseURL and SupabaseKey, a secret or service_role key, or else DatabaseURL, of a Postgres,
	// say where the accounts are kept. None: in DataDir.
	SupabaseURL string
	SupabaseKey Secret
	DatabaseURL Secret
	// Names are those of tables and columns there. Zero: public, user, id, apikey, machines.
	Names rows.Names
	// NATSURL chooses a broker outside this process.
	NATSURL string
	// Heartbeat is the time between two pings. 0: 30 s.
	Heartbeat time.Duration
	// MaxFrameUp and MaxFrameDown bound frames from and to machines, in bytes of payload; messages
	// must fit a frame. 0: 64 KiB and 1 MiB.
	MaxFrameUp   int
	MaxFrameDown int
	// TokenLife is how long a session token is good. 0: 15 min.
	TokenLife time.Duration
	// StoreMaxBytes bounds the store. 0: half the free disk.
	StoreMaxBytes int64
	// SyncAlways writes every message to the disk itself before it is acknowledged.
	SyncAlways bool
	// TrustedProxies are addresses or prefixes whose X-Forwarded-For is believed; "cloudflare" names
	// its published ranges. nil: loopback.
	TrustedProxies []string
	// Origins are the browser origins that may connect. nil: the gateway's own host.
	Origins []string
	// AdminHosts are further names by which the operators' port is called.
	AdminHosts []string
	// TLSCert and TLSKey are PEM files. Both empty: no TLS.
	TLSCert string
	TLSKey  string
	// Dev relaxes checks of secrets.
	Dev bool
	// Drain is how long a stop waits for machines to go. 0: 10 s.
	Drain time.Duration
	// ShowFirstKey shows the key of the account that a first start makes. nil: it is written to
	// first-account.key in DataDir.
	ShowFirstKey func(accountID, key string)
	// OnServing hears when machines are served. nil: nobody does.
	OnServing func()
	// Version is what the program calls itself.
	Version string
	// Logger is required.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = ":5000"
	}
	if c.AdminAddr == "" {
		c.AdminAddr = "127.0.0.1:5001"
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 30 * time.Second
	}
	if c.MaxFrameUp == 0 {
		c.MaxFrameUp = wire.MaxUp
	}
	if c.MaxFrameDown == 0 {
		c.MaxFrameDown = wire.MaxDown
	}
	if c.TokenLife == 0 {
		c.TokenLife = 15 * time.Minute
	}
	if c.Drain == 0 {
		c.Drain = 10 * time.Second
	}
	if c.TrustedProxies == nil {
		c.TrustedProxies = []string{"127.0.0.0/8", "::1/128"}
	}
	if c.OnServing == nil {
		c.OnServing = func() {}
	}
	return c
}

// Problems are everything that is wrong with the settings, found before anything starts.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

// Check reports every problem of the settings at once, as Problems; nil if there is none.
func (c Config) Check() error {
	c = c.withDefaults()
	var p Problems
	p = append(p, c.checkParts()...)
	p = append(p, c.checkSecrets()...)
	p = append(p, c.checkPlaces()...)
	if len(p) == 0 {
		return nil
	}
	return p
}

// checkParts refuses what is not built: falling back to something else in silence would keep a
// fleet's machines in a place nobody looks at.
func (c Config) checkParts() (p Problems) {
	if c.SupabaseURL != "" && c.SupabaseKey == "" {
		p = append(p, "SUPABASE_URL is set, but SUPABASE_SERVICE_ROLE_KEY is not: take a secret key (sb_secret_...) or the service_role key from the project's settings")
	}
	if c.SupabaseURL == "" && c.SupabaseKey != "" {
		p = append(p, "SUPABASE_SERVICE_ROLE_KEY is set, but SUPABASE_URL is not: set it, or unset the key to keep accounts here")
	}
	if err := c.Names.Check(); err != nil {
		p = append(p, fmt.Sprintf("FLEETLINE_SCHEMA, FLEETLINE_ACCOUNTS_TABLE, FLEETLINE_ACCOUNTS_ID, FLEETLINE_ACCOUNTS_KEY, FLEETLINE_MACHINES_TABLE: %v", err))
	}
	if c.NATSURL != "" {
		p = append(p, "NATS_URL is set, but an external broker is not built yet: unset it to use the embedded broker")
	}
	if c.Logger == nil {
		p = append(p, "a logger is required")
	}
	return p
}

func (c Config) checkSecrets() (p Problems) {
	for _, s := range []struct {
		name   string
		secret Secret
	}{{"JWT_SECRET", c.JWTSecret}, {"JWT_SECRET_PREVIOUS", c.JWTSecretPrevious}} {
		if s.secret == "" || c.Dev {
			continue
		}
		if _, err := token.New(token.Config{Secret: token.Secret(s.secret), Installation: "check"}); err != nil {
			p = append(p, fmt.Sprintf("%s: %v (leave it unset and one is made; --dev allows it for development)", s.name, err))
		}
	}
	if c.AdminToken != "" && len(c.AdminToken) < 16 {
		p = append(p, "FLEETLINE_ADMIN_TOKEN is shorter than 16 characters: leave it unset and one is made")
	}
	return p
}

func (c Config) checkPlaces() (p Problems) {
	if c.DataDir == "" {
		p = append(p, "FLEETLINE_DATA_DIR is empty: name a folder")
	}
	for _, a := range []struct{ name, addr string }{{"the machines' port (HOST, PORT)", c.Addr}, {"FLEETLINE_ADMIN_ADDR", c.AdminAddr}} {
		if err := checkAddr(a.addr); err != nil {
			p = append(p, fmt.Sprintf("%s: %q is not an address: %v", a.name, a.addr, err))
		}
	}
	if checkAddr(c.AdminAddr) == nil && !isLoopback(c.AdminAddr) && c.TLSCert == "" && len(c.AdminHosts) == 0 {
		p = append(p, fmt.Sprintf("FLEETLINE_ADMIN_ADDR %s can be reached from other hosts without TLS: use 127.0.0.1, give --tls-cert and --tls-key, or name the proxy's host in FLEETLINE_ADMIN_HOSTS", c.AdminAddr))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		p = append(p, "TLS needs both a certificate and a key: --tls-cert and --tls-key")
	} else if c.TLSCert != "" {
		if _, err := newCertificate(c.TLSCert, c.TLSKey); err != nil {
			p = append(p, fmt.Sprintf("TLS: %v", err))
		}
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		p = append(p, fmt.Sprintf("FLEETLINE_TRUSTED_PROXIES: %v", err))
	}
	return append(p, c.checkNumbers()...)
}

// Bounds of the frame limits: an auth frame with a key of the longest kind must fit, and so must what
// the log takes as one message.
const (
	leastFrame = 16 << 10
	mostFrame  = 4 << 20
)

func (c Config) checkNumbers() (p Problems) {
	if c.Heartbeat < time.Second || c.Heartbeat > 10*time.Minute {
		p = append(p, fmt.Sprintf("FLEETLINE_HEARTBEAT %s: choose between 1s and 10m", c.Heartbeat))
	}
	if c.TokenLife < time.Second || c.TokenLife > 24*time.Hour {
		p = append(p, fmt.Sprintf("FLEETLINE_TOKEN_LIFE %s: choose between 1s and 24h", c.TokenLife))
	} else if c.TokenLife%time.Second != 0 {
		p = append(p, fmt.Sprintf("FLEETLINE_TOKEN_LIFE %s: choose whole seconds", c.TokenLife))
	}
	if c.MaxFrameUp < leastFrame || c.MaxFrameUp > mostFrame {
		p = append(p, fmt.Sprintf("FLEETLINE_MAX_FRAME_UP %d: choose between %d and %d bytes", c.MaxFrameUp, leastFrame, mostFrame))
	}
	if c.MaxFrameDown < leastFrame || c.MaxFrameDown > mostFrame {
		p = append(p, fmt.Sprintf("FLEETLINE_MAX_FRAME_DOWN %d: choose between %d and %d bytes", c.MaxFrameDown, leastFrame, mostFrame))
	}
	if least := broker.LeastBytes(); c.StoreMaxBytes != 0 && c.StoreMaxBytes < least {
		p = append(p, fmt.Sprintf("FLEETLINE_STORE_MAX_BYTES %d: choose %d or more, or 0 for half of the free disk", c.StoreMaxBytes, least))
	}
	for _, o := range c.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
			p = append(p, fmt.Sprintf("FLEETLINE_ORIGINS: %q is no origin such as https://example.com", o))
		}
	}
	return p
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("it must be host:port")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("port %q is none", port)
	}
	return nil
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// cloudflare are the ranges that Cloudflare publishes for its proxies (cloudflare.com/ips).
const cloudflare = `173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18 108.162.192.0/18
190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17 162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13
131.0.72.0/22 2400:cb00::/32 2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32 2a06:98c0::/29 2c0f:f248::/32`

func parseProxies(names []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, name := range names {
		fields := []string{strings.TrimSpace(name)}
		if strings.EqualFold(fields[0], "cloudflare") {
			fields = strings.Fields(cloudflare)
		}
		for _, f := range fields {
			p, err := parsePrefix(f)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address, no prefix and not \"cloudflare\"", s)
	}
	return p.Masked(), nil
}

// makeDataDir makes the data folder so that only its owner can look into it.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	return nil
}
