package hub

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// A counter is counted by its shard alone and read by others as of the last sweep.
type counter struct {
	n     uint64
	shown atomic.Uint64
}

// shardStats are merged over the shards when Prometheus asks.
type shardStats struct {
	writes, quotes, bytes, conflated counter
	latency                          latency

	replaced      atomic.Uint64 // conflated before the shard took them
	relayDropped  atomic.Uint64
	stuck         atomic.Uint64
	panics        atomic.Uint64
	joined        atomic.Uint64
	subscriptions atomic.Int64
	ended         [endPanic + 1]atomic.Uint64
}

func (s *shardStats) publish() {
	for _, c := range []*counter{&s.writes, &s.quotes, &s.bytes, &s.conflated} {
		c.shown.Store(c.n)
	}
	s.latency.publish()
}

// latency counts durations in µs by power of two, with four steps within each.
type latency struct {
	count [latencyBuckets]uint64
	sum   uint64
	shown [latencyBuckets]atomic.Uint64
	total atomic.Uint64
}

const latencyBuckets = 26 * 4 // up to 2^26 µs, about a minute

func (l *latency) observe(us int64) {
	v := uint64(max(us, 0))
	l.sum += v
	l.count[latencyBucket(v)]++
}

// latencyBucket is 4·log2(v) in whole steps.
func latencyBucket(v uint64) int {
	if v < 4 {
		return int(v)
	}
	n := bits.Len64(v) - 1
	step := int(v>>(n-2)) & 3
	return min(4*(n-1)+step, latencyBuckets-1)
}

// latencyBound is the largest value of a bucket, in seconds.
func latencyBound(i int) float64 {
	if i < 4 {
		return float64(i) / 1e6
	}
	n := i/4 + 1
	return float64(uint64(4+i%4+1)<<(n-2)-1) / 1e6
}

func (l *latency) publish() {
	for i := range l.count {
		l.shown[i].Store(l.count[i])
	}
	l.total.Store(l.sum)
}

type metrics struct {
	published prometheus.Counter
	hub       *Hub
	descs     map[string]*prometheus.Desc
}

func newMetrics(h *Hub, reg prometheus.Registerer) *metrics {
	m := &metrics{hub: h, descs: make(map[string]*prometheus.Desc)}
	m.published = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fx_hub_published_total", Help: "Quotes handed to the hub. Flat while producers publish: the feed is broken."})
	for name, help := range map[string]string{
		"fx_hub_clients":             "Connected clients.",
		"fx_hub_subscriptions":       "Subscriptions of clients to single symbols, wildcards expanded.",
		"fx_hub_delivered_total":     "Quotes written to clients.",
		"fx_hub_writes_total":        "Writes to clients; delivered divided by this is the quotes joined per write.",
		"fx_hub_written_bytes_total": "Bytes written to clients.",
		"fx_hub_conflated_total":     "Quotes replaced by a newer one before a client took them. Growing fast: clients are slow or the node is overloaded.",
		"fx_hub_relay_dropped_total": "Relayed messages dropped because a client or the node was behind.",
		"fx_hub_panics_total":        "Clients ended because their connection's code panicked. Not 0: a bug.",
		"fx_hub_joined_total":        "Clients that have connected.",
		"fx_hub_latency_seconds":     "From acceptance in Redis to the write, per delivered quote; the two clocks differ by their skew. High upper quantiles: the node is overloaded.",
	} {
		m.descs[name] = prometheus.NewDesc(name, help, nil, nil)
	}
	m.descs["fx_hub_ended_total"] = prometheus.NewDesc("fx_hub_ended_total",
		"Clients the hub ended, by reason. stalled, silent: dead or overloaded peers; panic: a bug.", []string{"reason"}, nil)
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
	var writes, quotes, bytes, conflated, dropped, panics, joined, count, sum uint64
	var subscriptions int64
	ended := [endPanic + 1]uint64{}
	buckets := make(map[float64]uint64, latencyBuckets)
	var byBucket [latencyBuckets]uint64
	for _, s := range m.hub.shards {
		st := &s.stats
		writes += st.writes.shown.Load()
		quotes += st.quotes.shown.Load()
		bytes += st.bytes.shown.Load()
		conflated += st.conflated.shown.Load() + st.replaced.Load()
		dropped += st.relayDropped.Load()
		panics += st.panics.Load()
		joined += st.joined.Load()
		subscriptions += st.subscriptions.Load()
		for i := range ended {
			ended[i] += st.ended[i].Load()
		}
		for i := range byBucket {
			byBucket[i] += st.latency.shown[i].Load()
		}
		sum += st.latency.total.Load()
	}
	for i, n := range byBucket {
		count += n
		if i%4 == 3 { // one bucket per power of two is enough outside
			buckets[latencyBound(i)] = count
		}
	}
	counter := func(name string, v uint64) {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.CounterValue, float64(v))
	}
	counter("fx_hub_writes_total", writes)
	counter("fx_hub_delivered_total", quotes)
	counter("fx_hub_written_bytes_total", bytes)
	counter("fx_hub_conflated_total", conflated)
	counter("fx_hub_relay_dropped_total", dropped)
	counter("fx_hub_panics_total", panics)
	counter("fx_hub_joined_total", joined)
	ch <- prometheus.MustNewConstMetric(m.descs["fx_hub_clients"], prometheus.GaugeValue, float64(m.hub.Clients()))
	ch <- prometheus.MustNewConstMetric(m.descs["fx_hub_subscriptions"], prometheus.GaugeValue, float64(subscriptions))
	for i, reason := range []string{"closed", "lost", "stalled", "silent", "panic"} {
		ch <- prometheus.MustNewConstMetric(m.descs["fx_hub_ended_total"], prometheus.CounterValue, float64(ended[i]), reason)
	}
	ch <- prometheus.MustNewConstHistogram(m.descs["fx_hub_latency_seconds"], count, float64(sum)/1e6, buckets)
}
