package supabase

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Directory is made of. URL, ServiceKey, Installation and Logger are required.
type Config struct {
	// URL is the root of the project: https://REF.supabase.co, or that of a self-hosted one.
	URL string
	// ServiceKey is a secret key (sb_secret_...) or the legacy service_role key.
	ServiceKey directory.Key
	// Names of the tables and columns. Zero: those of the documentation.
	Names rows.Names
	// Installation is named by every machine id made here: 8 characters of lower-case base32.
	Installation string
	Logger       *slog.Logger
	// Registerer for metrics; nil: none registered.
	Registerer prometheus.Registerer
	// Renew is how often the Realtime connection is replaced, before the project ends it. 0: 12 h.
	Renew time.Duration

	// Bent by tests alone.
	pace pace
}

// pace is how long things may take.
type pace struct {
	request   time.Duration // one request
	retry     time.Duration // the first pause before another try, at most
	join      time.Duration // from joining to its reply
	confirm   time.Duration // from the reply to the system's ok
	beat      time.Duration // between two heartbeats
	answer    time.Duration // from a heartbeat to its reply
	reconnect time.Duration // the first pause before another connection, at most
	ceiling   time.Duration // the longest such pause
	refused   time.Duration // the least pause after the key was refused
	stable    time.Duration // a connection this old was a good one
	again     time.Duration // between two looks at what is installed
}

func defaultPace() pace {
	return pace{
		request: 5 * time.Second, retry: 200 * time.Millisecond,
		join: 10 * time.Second, confirm: 30 * time.Second, beat: 10 * time.Second, answer: 5 * time.Second,
		reconnect: time.Second, ceiling: 30 * time.Second, refused: 20 * time.Second, stable: time.Minute,
		again: 10 * time.Minute,
	}
}

const (
	defaultRenew = 12 * time.Hour
	// mostAtOnce bounds the requests under way: the project's pool of connections is small.
	mostAtOnce = 8
)

func (c Config) withDefaults() Config {
	c.Names = c.Names.WithDefaults()
	if c.Renew == 0 {
		c.Renew = defaultRenew
	}
	if c.pace == (pace{}) {
		c.pace = defaultPace()
	}
	return c
}

// check reports all problems at once.
func (c Config) check() error {
	var problems []error
	if _, err := parseAddress(c.URL); err != nil {
		problems = append(problems, err)
	}
	if _, err := inspectKey(c.ServiceKey); err != nil {
		problems = append(problems, err)
	}
	if c.Logger == nil {
		problems = append(problems, errors.New("the logger is missing"))
	}
	if !directory.IsInstallation(c.Installation) {
		problems = append(problems, fmt.Errorf("%q is no installation id", c.Installation))
	}
	if c.Renew < 0 {
		problems = append(problems, fmt.Errorf("a connection cannot be renewed every %v", c.Renew))
	}
	if err := c.Names.Check(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// newTransport makes connections that notice when the other end has vanished: a dead HTTP/2
// connection otherwise swallows requests for a quarter of an hour.
func newTransport(protocols func(*http.Protocols)) *http.Transport {
	p := new(http.Protocols)
	protocols(p)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		Protocols:             p,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConnsPerHost:   mostAtOnce,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}
}

// stay refuses to be sent elsewhere: the key would go along.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// at is an address below the root.
func at(root *url.URL, path string) *url.URL {
	u := *root
	u.Path = path
	return &u
}
