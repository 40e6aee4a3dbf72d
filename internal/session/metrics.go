package session

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what the hub counts. They are read when they are scraped.
type counts struct {
	live       atomic.Int64
	delivered  atomic.Uint64
	dropped    atomic.Uint64
	fellBehind atomic.Uint64
	gaps       atomic.Uint64
	pings      atomic.Uint64
	logReads   atomic.Uint64
}

func (h *Hub) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	for _, c := range []prometheus.Collector{
		gauge("fleetline_session_live", "Live sessions on this node.", func() float64 { return float64(h.live.Load()) }),
		gauge("fleetline_session_finished_position", "Position of the log up to which every live session has been served.", func() float64 { return float64(h.finished.Load()) }),
		counter("fleetline_session_delivered_total", "Messages handed to sockets.", &h.delivered),
		counter("fleetline_session_live_only_dropped_total", "Live-only messages that a socket could not take.", &h.dropped),
		counter("fleetline_session_fell_behind_total", "Times a live session's socket did not take a message.", &h.fellBehind),
		counter("fleetline_session_gaps_total", "Times a session was told that history is gone.", &h.gaps),
		counter("fleetline_session_pings_total", "Pings sent.", &h.pings),
		counter("fleetline_session_log_reads_total", "Reads of the log below its window, each for many sessions.", &h.logReads),
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
