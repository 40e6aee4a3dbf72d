package socket

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters counts without a shared cache line: each connection counts in the shard of its slot, and
// the shards are summed when somebody looks.
type counters struct {
	shards [counterShards]counterShard
	open   func() int

	openDesc, framesInDesc, framesOutDesc, bytesInDesc, bytesOutDesc, refusedDesc *prometheus.Desc
}

const counterShards = 16

type counterShard struct {
	framesIn, framesOut, bytesIn, bytesOut, refused atomic.Uint64

	_ [128 - 5*8]byte // two cache lines: neighbours are fetched together
}

func newCounters(open func() int) *counters {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("fleetline_socket_"+name, help, nil, nil)
	}
	return &counters{
		open:          open,
		openDesc:      desc("connections", "Connections open now."),
		framesInDesc:  desc("received_frames_total", "Messages received."),
		framesOutDesc: desc("sent_frames_total", "Frames taken for sending."),
		bytesInDesc:   desc("received_bytes_total", "Bytes received, framing included."),
		bytesOutDesc:  desc("sent_bytes_total", "Bytes written, framing included."),
		refusedDesc:   desc("refused_sends_total", "Frames not taken because the peer had fallen behind."),
	}
}

// register does nothing if there is nobody to register with.
func (c *counters) register(with prometheus.Registerer) error {
	if with == nil {
		return nil
	}
	return with.Register(c)
}

func (c *counters) unregister(from prometheus.Registerer) {
	if from != nil {
		from.Unregister(c)
	}
}

func (c *counters) of(id ID) *counterShard { return &c.shards[id.Slot()%counterShards] }

// Describe implements prometheus.Collector.
func (c *counters) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.openDesc, c.framesInDesc, c.framesOutDesc, c.bytesInDesc, c.bytesOutDesc, c.refusedDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *counters) Collect(ch chan<- prometheus.Metric) {
	var framesIn, framesOut, bytesIn, bytesOut, refused uint64
	for i := range c.shards {
		s := &c.shards[i]
		framesIn += s.framesIn.Load()
		framesOut += s.framesOut.Load()
		bytesIn += s.bytesIn.Load()
		bytesOut += s.bytesOut.Load()
		refused += s.refused.Load()
	}
	count := func(d *prometheus.Desc, n uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	ch <- prometheus.MustNewConstMetric(c.openDesc, prometheus.GaugeValue, float64(c.open()))
	count(c.framesInDesc, framesIn)
	count(c.framesOutDesc, framesOut)
	count(c.bytesInDesc, bytesIn)
	count(c.bytesOutDesc, bytesOut)
	count(c.refusedDesc, refused)
}
