package socket

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

// Config makes an engine.
type Config struct {
	// Handler hears what happens to connections. It is required.
	Handler Handler
	// MaxFrame bounds the payload of one message from a peer, in bytes; 0: 64 KiB.
	MaxFrame int
	// MaxPending bounds what a connection holds that its peer has not taken, in bytes; 0: 64 KiB.
	// One frame is always taken when nothing is pending, however large. The epoll engine lets the
	// kernel do this, and holds no more than the rest of one frame.
	MaxPending int
	// MaxQueued bounds what the epoll engine holds of frames that were begun, over all connections, in
	// bytes; 0: 64 MiB. Beyond it only small frames are begun.
	MaxQueued int
	// Subprotocols are those the engine speaks, the preferred one first. A peer that asks for none
	// of them is told none.
	Subprotocols []string
	// OneByOne has SendAll make one system call for each frame, as where there is no io_uring. It is
	// for tests.
	OneByOne bool
	// Logger is told of peers that break the protocol, at debug level, and of what the system refuses;
	// nil: nobody.
	Logger *slog.Logger
	// Registerer gets the engine's metrics; nil: nobody.
	Registerer prometheus.Registerer
}

const (
	defaultMaxFrame   = 64 << 10
	defaultMaxPending = 64 << 10
	defaultMaxQueued  = 64 << 20
)

func (cfg Config) withDefaults() (Config, error) {
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = defaultMaxFrame
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = defaultMaxPending
	}
	if cfg.MaxQueued == 0 {
		cfg.MaxQueued = defaultMaxQueued
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var problems []error
	if cfg.Handler == nil {
		problems = append(problems, errors.New("Handler is missing"))
	}
	if cfg.MaxFrame < 0 {
		problems = append(problems, errors.New("MaxFrame is negative"))
	}
	if cfg.MaxPending < 0 {
		problems = append(problems, errors.New("MaxPending is negative"))
	}
	if cfg.MaxQueued < 0 {
		problems = append(problems, errors.New("MaxQueued is negative"))
	}
	return cfg, errors.Join(problems...)
}

func (cfg Config) rules() frame.Rules {
	return frame.Rules{Role: frame.Server, MaxMessage: cfg.MaxFrame, SkipBinary: true}
}
