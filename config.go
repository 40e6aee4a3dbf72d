package fleetline

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/fleetline/fleetline/wire"
)

// MachineInfo is what a machine says of itself.
type MachineInfo = wire.MachineInfo

// Config says who connects. One of APIKey, KeyFunc and a State that holds a key is required;
// everything else may stay zero.
type Config struct {
	// APIKey is the account's key. Empty: the one in State, read again before every attempt.
	APIKey string
	// KeyFunc is asked for the key before every attempt, so a key that was rotated is taken up
	// without a restart. It wins over APIKey. While it fails, the client waits and asks again.
	KeyFunc func(ctx context.Context) (string, error)

	// State keeps the machine's identity and position between two runs. Without it (nil) and
	// without Machine.HWID nothing can tell this machine from others with the same key, so it
	// connects as the account's default machine; with either it is enrolled as a machine of its
	// own.
	State StateStore
	// Machine is sent with every attempt. Empty fields are filled: the hwid from State (made at
	// random at the first run), hostname, os, arch, cores and memory from the system. Version is
	// your program's and stays as it is.
	Machine MachineInfo

	// TLS is used for wss and https; nil: the system's roots.
	TLS *tls.Config
	// Header is sent with the WebSocket handshake, for proxies that ask for one.
	Header http.Header
	// DialContext opens the network connection; nil: a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxFrame is the largest frame taken from the gateway, in bytes; 0: wire.MaxDown, which is
	// what a gateway sends unless it was set to send more.
	MaxFrame int64

	// OnStatus hears every change of the line, in order. It must return soon and must not call
	// Close.
	OnStatus func(Status)
	// OnHeartbeat hears of every ping of the gateway, once it is answered. It must return soon and must
	// not call Close.
	OnHeartbeat func()
	// OnGap hears of lost history, in order among the messages: it is called from within Next, by
	// the goroutine that asks for the next message. nil: a gap is only logged.
	OnGap func(Gap)
	// Logger hears of changes and faults; nil: nothing is logged. No key and no token is.
	Logger *slog.Logger
}

// validate reports everything that is wrong at once.
func (c *Config) validate(s State) error {
	var problems []error
	if c.KeyFunc == nil {
		if _, err := cleanKey(cmp.Or(c.APIKey, s.APIKey)); err != nil {
			problems = append(problems, err)
		}
	}
	if c.MaxFrame < 0 {
		problems = append(problems, errors.New("MaxFrame is negative"))
	}
	m := c.Machine
	for _, field := range []struct{ name, value string }{
		{"Hostname", m.Hostname}, {"OS", m.OS}, {"Arch", m.Arch}, {"HWID", m.HWID}, {"Version", m.Version},
	} {
		if len(field.value) > wire.MaxField {
			problems = append(problems, fmt.Errorf("%s is longer than %d bytes", field.name, wire.MaxField))
		}
	}
	return errors.Join(problems...)
}

// withDefaults fills what may stay zero.
func (c Config) withDefaults() Config {
	if c.MaxFrame == 0 {
		c.MaxFrame = wire.MaxDown
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnStatus == nil {
		c.OnStatus = func(Status) {}
	}
	if c.OnHeartbeat == nil {
		c.OnHeartbeat = func() {}
	}
	if c.OnGap == nil {
		log := c.Logger
		c.OnGap = func(g Gap) { log.Warn("messages are gone", "after", g.After, "until", g.Until) }
	}
	return c
}

// key asks for the key anew; stored is the one in State.
func (c *Config) key(ctx context.Context, stored string) (string, error) {
	if c.KeyFunc == nil {
		return cleanKey(cmp.Or(c.APIKey, stored))
	}
	key, err := c.KeyFunc(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the API key: %w", err)
	}
	return cleanKey(key)
}

// cleanKey takes off the white space that files and shells add.
func cleanKey(key string) (string, error) {
	key = strings.TrimSpace(key)
	switch {
	case key == "":
		return "", ErrNoKey
	case len(key) > wire.MaxKey:
		return "", fmt.Errorf("the API key is longer than %d bytes", wire.MaxKey)
	}
	return key, nil
}

// chooseHWID prefers what the program says, then what was kept. A new one is random: what images
// share (a machine-id) would make one machine of many.
func chooseHWID(said, kept string) string {
	if id := cmp.Or(said, kept); id != "" {
		return id
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b) // cannot fail
	return hex.EncodeToString(b)
}
