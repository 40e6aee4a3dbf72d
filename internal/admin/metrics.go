package admin

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts calls by route and status. Routes are patterns, never paths: a path holds ids.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	lines    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fleetline_admin_requests_total", Help: "Calls of the operator API, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fleetline_admin_request_seconds", Help: "Time to answer a call of the operator API, by route.",
			Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10},
		}, []string{"route"}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fleetline_admin_stream_lines_total", Help: "Lines of streams, by code; ok for those that were published.",
		}, []string{"code"}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.seconds), r.Register(m.lines))
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	if route == "" || route == "/" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
