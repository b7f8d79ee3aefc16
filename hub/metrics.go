package hub

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fxcast/fxcast/protocol"
)

// A counter is counted by its shard without atomics. Other goroutines read its value as of the last
// sweep.
type counter struct {
	n     uint64
	shown atomic.Uint64
}

// shardStats counts for one shard. Collect merges all shards when Prometheus scrapes.
type shardStats struct {
	// Counted by the shard without atomics, published at each sweep.
	writes, quotes, bytes, conflated counter
	latency, fanOut, joined          distribution

	replaced        atomic.Uint64 // conflated before the shard took them
	relayDropped    atomic.Uint64
	noticesReplaced atomic.Uint64
	panics          atomic.Uint64
	arrived         atomic.Uint64
	subscriptions   atomic.Int64
	waiting         atomic.Int64
	stuck           atomic.Int64
	disconnects     map[string]*atomic.Uint64 // by label of protocol.Closes; the map is static after construction
}

// begin initializes the zero value: every label exists from the start.
func (s *shardStats) begin() {
	s.disconnects = make(map[string]*atomic.Uint64)
	for _, c := range protocol.Closes() {
		s.disconnects[c.Label] = new(atomic.Uint64)
	}
}

func (s *shardStats) countDisconnect(why protocol.Close) {
	if n := s.disconnects[why.Label]; n != nil {
		n.Add(1)
	}
}

func (s *shardStats) publish() {
	for _, c := range []*counter{&s.writes, &s.quotes, &s.bytes, &s.conflated} {
		c.shown.Store(c.n)
	}
	for _, d := range []*distribution{&s.latency, &s.fanOut, &s.joined} {
		d.publish()
	}
}

// A distribution counts values in the buckets of a native histogram of schema 2, four per power of
// two. Counting costs a few nanoseconds and uses no atomics.
type distribution struct {
	count [lastBucket - firstBucket + 1]uint64
	zero  uint64 // values of 0 and below
	sum   float64

	shown     [lastBucket - firstBucket + 1]atomic.Uint64
	shownZero atomic.Uint64
	shownSum  atomic.Uint64 // math.Float64bits of the sum
}

const (
	schema      = 2
	firstBucket = -80 // 2^-20, about a microsecond
	lastBucket  = 80  // 2^20
)

// steps are the lower bounds of the buckets within a power of two, on the scale of math.Frexp's
// fraction.
var steps = [4]float64{0.5, 0.5946035575013605, 0.7071067811865475, 0.8408964152537144}

func (d *distribution) observe(v float64, times int) {
	if v <= 0 {
		d.zero += uint64(times)
		return
	}
	d.sum += v * float64(times)
	d.count[bucket(v)-firstBucket] += uint64(times)
}

// bucket returns the index i of the bucket (2^((i-1)/4), 2^(i/4)] that holds v.
func bucket(v float64) int {
	fraction, exponent := math.Frexp(v)
	i := 4 * (exponent - 1)
	for _, s := range steps {
		if fraction > s {
			i++
		}
	}
	return min(max(i, firstBucket), lastBucket)
}

func (d *distribution) publish() {
	for i := range d.count {
		if n := d.count[i]; n != 0 {
			d.shown[i].Store(n)
		}
	}
	d.shownZero.Store(d.zero)
	d.shownSum.Store(math.Float64bits(d.sum))
}

// A merged distribution is a prometheus.Metric with native and classic buckets.
type merged struct {
	prometheus.Metric
	classic map[float64]uint64
}

// Write implements prometheus.Metric.
func (m merged) Write(out *dto.Metric) error {
	if err := m.Metric.Write(out); err != nil {
		return err
	}
	for bound, n := range m.classic {
		out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &n})
	}
	slices.SortFunc(out.Histogram.Bucket, func(a, b *dto.Bucket) int { return int(math.Copysign(1, a.GetUpperBound()-b.GetUpperBound())) })
	return nil
}

// merge adds up one distribution over all shards. For scrapers without native histograms it adds
// classic buckets, one per power of two from 2^from to 2^to.
func (m *metrics) merge(name string, of func(*shardStats) *distribution, from, to int) prometheus.Metric {
	native, classic := make(map[int]int64), make(map[float64]uint64)
	var zero, count uint64
	var sum float64
	for _, s := range m.hub.shards {
		d := of(&s.stats)
		z := d.shownZero.Load()
		zero, count = zero+z, count+z
		sum += math.Float64frombits(d.shownSum.Load())
		for i := range d.shown {
			if n := d.shown[i].Load(); n > 0 {
				native[i+firstBucket] += int64(n)
				count += n
			}
		}
	}
	for exponent := from; exponent <= to; exponent++ {
		n := zero
		for i, v := range native {
			if i <= 4*exponent {
				n += uint64(v)
			}
		}
		classic[math.Ldexp(1, exponent)] = n
	}
	return merged{prometheus.MustNewConstNativeHistogram(m.descs[name], count, sum, native, nil, zero, schema, 0, m.created), classic}
}

type metrics struct {
	published prometheus.Counter
	hub       *Hub
	created   time.Time
	descs     map[string]*prometheus.Desc
}

func newMetrics(h *Hub, reg prometheus.Registerer) *metrics {
	m := &metrics{hub: h, created: time.Now(), descs: make(map[string]*prometheus.Desc)}
	m.published = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fx_hub_published_total", Help: "Quotes published to the hub. Flat while producers publish: the feed is broken."})
	for name, help := range map[string]string{
		"fx_hub_clients":                "Connected clients.",
		"fx_hub_subscriptions":          "Subscriptions of all clients to single symbols, with wildcards expanded.",
		"fx_hub_stuck_clients":          "Clients whose connection has taken nothing for a second although data is waiting.",
		"fx_hub_pending_bytes":          "Bytes waiting in connections that are full. Growing: many slow clients.",
		"fx_hub_delivered_total":        "Quotes written to clients.",
		"fx_hub_writes_total":           "Writes to clients.",
		"fx_hub_written_bytes_total":    "Bytes written to clients.",
		"fx_hub_conflated_total":        "Quotes replaced by a newer one before they were sent. Growing fast: clients are slow or the node is overloaded.",
		"fx_hub_candles_replaced_total": "Running candles and day figures replaced by newer ones before they were sent. Growing fast: clients are slow or the node is overloaded.",
		"fx_hub_relay_dropped_total":    "Relayed messages dropped because a client or the node was behind.",
		"fx_hub_panics_total":           "Clients disconnected because the code of their connection panicked. Above 0: a bug.",
		"fx_hub_joined_total":           "Clients that have joined.",
		"fx_hub_latency_seconds":        "Seconds from acceptance in Redis to the write to a client, per update; from the end of the interval if the client's max_rate held it back. Includes the skew between the two clocks. High upper quantiles: the node is overloaded.",
		"fx_hub_fan_out_clients":        "Subscribers of a published quote, per shard.",
		"fx_hub_quotes_per_write":       "Quotes joined into one write. Growing: bursts, or a node near its limit.",
	} {
		m.descs[name] = prometheus.NewDesc(name, help, nil, nil)
	}
	m.descs["fx_hub_client_disconnects_total"] = prometheus.NewDesc("fx_hub_client_disconnects_total",
		"Clients that the hub disconnected, by reason. stalled, silent: dead or overloaded peers; slow: too slow for every tick; panic: a bug.", []string{"reason"}, nil)
	if reg != nil {
		reg.MustRegister(m.published, m)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector: it merges the shards.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counters := make(map[string]uint64)
	gauges := map[string]int64{"fx_hub_clients": int64(m.hub.Clients())}
	disconnects := make(map[string]uint64)
	for _, s := range m.hub.shards {
		st := &s.stats
		counters["fx_hub_writes_total"] += st.writes.shown.Load()
		counters["fx_hub_delivered_total"] += st.quotes.shown.Load()
		counters["fx_hub_written_bytes_total"] += st.bytes.shown.Load()
		counters["fx_hub_conflated_total"] += st.conflated.shown.Load() + st.replaced.Load()
		counters["fx_hub_relay_dropped_total"] += st.relayDropped.Load()
		counters["fx_hub_candles_replaced_total"] += st.noticesReplaced.Load()
		counters["fx_hub_panics_total"] += st.panics.Load()
		counters["fx_hub_joined_total"] += st.arrived.Load()
		gauges["fx_hub_subscriptions"] += st.subscriptions.Load()
		gauges["fx_hub_stuck_clients"] += st.stuck.Load()
		gauges["fx_hub_pending_bytes"] += st.waiting.Load()
		for label, n := range st.disconnects {
			disconnects[label] += n.Load()
		}
	}
	for name, v := range counters {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.CounterValue, float64(v))
	}
	for name, v := range gauges {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.GaugeValue, float64(v))
	}
	for label, n := range disconnects {
		ch <- prometheus.MustNewConstMetric(m.descs["fx_hub_client_disconnects_total"], prometheus.CounterValue, float64(n), label)
	}
	ch <- m.merge("fx_hub_latency_seconds", func(s *shardStats) *distribution { return &s.latency }, -17, 6)
	ch <- m.merge("fx_hub_fan_out_clients", func(s *shardStats) *distribution { return &s.fanOut }, 0, 17)
	ch <- m.merge("fx_hub_quotes_per_write", func(s *shardStats) *distribution { return &s.joined }, 0, 8)
}
