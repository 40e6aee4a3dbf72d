package broker

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are read when metrics are scraped.
type counts struct {
	stored, live, liveDropped, revocations   atomic.Int64
	refusedFull, refusedOther, unavailable   atomic.Int64
	tailRestarts, unreadable, reads, rereads atomic.Int64

	registerer prometheus.Registerer
	registered []prometheus.Collector
}

// refuse counts a publish that was refused, and returns why.
func (c *counts) refuse(err error) error {
	switch {
	case errors.Is(err, ErrFull):
		c.refusedFull.Add(1)
	case errors.Is(err, ErrUnavailable):
		c.unavailable.Add(1)
	default:
		c.refusedOther.Add(1)
	}
	return err
}

func (c *counts) published(err error) {
	if err != nil {
		_ = c.refuse(err)
		return
	}
	c.stored.Add(1)
}

func (c *counts) register(b *Broker) error {
	if b.cfg.Registerer == nil {
		return nil
	}
	c.registerer = b.cfg.Registerer
	for _, m := range c.collectors(b) {
		if err := c.registerer.Register(m); err != nil {
			c.unregister()
			return fmt.Errorf("registering metrics: %w", err)
		}
		c.registered = append(c.registered, m)
	}
	return nil
}

func (c *counts) unregister() {
	for _, m := range c.registered {
		c.registerer.Unregister(m)
	}
	c.registered = nil
}

func (c *counts) collectors(b *Broker) []prometheus.Collector {
	return []prometheus.Collector{
		counter("published_total", "Messages stored in the log.", &c.stored, nil),
		counter("published_live_total", "Live-only messages sent.", &c.live, nil),
		counter("live_dropped_total", "Times that live-only messages were dropped because the tail was behind.", &c.liveDropped, nil),
		counter("refused_total", "Publishes that were refused.", &c.refusedFull, prometheus.Labels{"reason": "full"}),
		counter("refused_total", "Publishes that were refused.", &c.unavailable, prometheus.Labels{"reason": "unavailable"}),
		counter("refused_total", "Publishes that were refused.", &c.refusedOther, prometheus.Labels{"reason": "invalid"}),
		counter("revocations_total", "Revocations written.", &c.revocations, nil),
		counter("tail_restarts_total", "Times the tail had to start again.", &c.tailRestarts, nil),
		counter("unreadable_total", "Entries that could not be decoded and were passed over.", &c.unreadable, nil),
		counter("reads_total", "Reads below the window.", &c.reads, nil),
		counter("rereads_total", "Questions that were asked again because a replica lagged.", &c.rereads, nil),
		gauge("log_bytes", "Bytes in the log, all lives.", func() float64 { return float64(b.Health().LogBytes) }),
		gauge("window_bytes", "Bytes of recent messages in memory.", func() float64 { n, _ := b.window.size(); return float64(n) }),
		gauge("lease_age_seconds", "Time since the tail heard this node's own lease.", func() float64 {
			return time.Since(b.Heard()).Seconds()
		}),
	}
}

func counter(name, help string, n *atomic.Int64, labels prometheus.Labels) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "fleetline", Subsystem: "broker", Name: name, Help: help, ConstLabels: labels,
	}, func() float64 { return float64(n.Load()) })
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fleetline", Subsystem: "broker", Name: name, Help: help,
	}, read)
}

// Health is how the log is.
type Health struct {
	Epoch string
	// Lives is how many lives of the log are remembered.
	Lives int
	// First and Last are the positions kept.
	First, Last uint64
	// LogBytes is what all lives hold, LogLimit what publishers may fill.
	LogBytes, LogLimit int64
	// Full: the last publish was refused for want of room, and there is no room yet.
	Full bool
	// Heard is when the tail last heard this node's own lease.
	Heard time.Time
}

// Health reports from memory, as of the last second.
func (b *Broker) Health() Health {
	kept := b.lives.kept.Load()
	return Health{
		Epoch: b.Epoch(), Lives: len(b.lives.all()), First: kept.first, Last: b.Last(),
		LogBytes: kept.bytes, LogLimit: b.space.limit, Full: b.space.isFull(), Heard: b.Heard(),
	}
}
