package supabase

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// counters count what is asked of the project.
type counters struct {
	requests *prometheus.CounterVec
}

func newCounters(r prometheus.Registerer) (*counters, error) {
	c := &counters{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fleetline_directory_requests_total",
		Help: "Requests made to the directory, by what was asked and what came of it.",
	}, []string{"kind", "outcome"})}
	if r == nil {
		return c, nil
	}
	err := r.Register(c.requests)
	if before, again := errors.AsType[prometheus.AlreadyRegisteredError](err); again {
		// An Open that failed is tried again: it goes on counting where that one ended.
		c.requests, err = before.ExistingCollector.(*prometheus.CounterVec), nil
	}
	return c, err
}

func (c *counters) add(kind string, f *failure) {
	outcome := "ok"
	if f != nil {
		outcome = f.outcome()
	}
	c.requests.WithLabelValues(kind, outcome).Inc()
}
