package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	admitted prometheus.Counter
	refused  *prometheus.CounterVec
	ended    *prometheus.CounterVec
	overRate prometheus.Counter
	deletion prometheus.Histogram
	batches  prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		admitted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fleetline_gateway_admitted_total", Help: "Machines admitted."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fleetline_gateway_refused_total", Help: "Connections refused, by code."}, []string{"code"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fleetline_gateway_ended_total", Help: "Sessions ended by the gateway's verdict, by code."}, []string{"code"}),
		overRate: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fleetline_gateway_over_rate_total", Help: "Frames dropped because a machine sent too many."}),
		batches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fleetline_gateway_directory_batches_total", Help: "Batches of applicants that the directory was asked about, each face once or twice."}),
		deletion: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fleetline_gateway_deletion_seconds", Help: "From the report of a deletion to the goodbye handed to the socket.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .005, .01, .05, .25, 1, 2}}),
	}
}

func (m *metrics) register(r prometheus.Registerer, g *Gateway) error {
	if r == nil {
		return nil
	}
	pending := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fleetline_gateway_revocations_pending", Help: "Revocations in force on this node but not yet stored."},
		func() float64 { return float64(g.revoker.pending()) })
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fleetline_gateway_deletions_held", Help: "Deletions that wait for proof or for an operator."},
		func() float64 { return float64(len(g.Held())) })
	clones := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fleetline_gateway_clones_suspected", Help: "Machines with live sessions from different boots."},
		func() float64 { return float64(g.clones.count()) })
	collectors := []prometheus.Collector{clones, m.admitted, m.refused, m.ended, m.overRate, m.deletion, m.batches, pending, held}
	for _, kind := range []subjectKind{machineSubject, accountSubject} {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fleetline_gateway_directory_live", Help: "Whether changes of the directory flow (1) or it is polled alone (0).",
			ConstLabels: prometheus.Labels{"face": kind.String() + "s"}},
			func() float64 {
				if g.view.feed(kind).Live {
					return 1
				}
				return 0
			}))
	}
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
