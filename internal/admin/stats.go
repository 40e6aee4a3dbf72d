package admin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	// sampleEvery and samplesKept make an hour.
	sampleEvery = 10 * time.Second
	samplesKept = 360
)

// Counts are what a node has counted since it started.
type Counts struct {
	// Delivered are messages handed to sockets; Admitted are machines let in.
	Delivered, Admitted uint64
}

// lastHour is this node's last hour, in samples.
type lastHour struct {
	// Owned by Run.
	last   Counts
	lastAt time.Time

	mu sync.Mutex
	// Guarded by mu. The oldest comes first.
	samples []api.Sample
}

// take adds a sample; the first only sets out.
func (h *lastHour) take(now time.Time, online int, c Counts) {
	passed := now.Sub(h.lastAt).Seconds()
	rate := func(now, before uint64) float64 { return float64(now-before) / passed }
	s := api.Sample{Time: now.UTC().Truncate(time.Second), MachinesOnline: online}
	if !h.lastAt.IsZero() && passed > 0 {
		s.MessagesPerSecond = rate(c.Delivered, h.last.Delivered)
		s.AuthsPerSecond = rate(c.Admitted, h.last.Admitted)
	}
	h.last, h.lastAt = c, now
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == samplesKept {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, s)
}

func (h *lastHour) list() []api.Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]api.Sample{}, h.samples...)
}

func (a *Admin) statsRoutes(d *document) {
	register(a, d, route{
		id: "stats", method: http.MethodGet, path: "/v1/stats", status: http.StatusOK,
		summary: "How many machines are online and how much goes on, now and over the last hour, on this node.",
	}, a.stats)
}

func (a *Admin) stats(context.Context, *nothing) (*answer[api.Stats], error) {
	return &answer[api.Stats]{api.Stats{
		Time: time.Now().UTC(), MachinesOnline: len(a.cfg.OnlineIDs()),
		EverySeconds: int(sampleEvery / time.Second), Samples: a.hour.list(),
	}}, nil
}

func (a *Admin) sample(now time.Time) { a.hour.take(now, len(a.cfg.OnlineIDs()), a.cfg.Counts()) }
