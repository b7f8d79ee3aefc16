package accept

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/feed"
)

// The metrics of each part are registered once per Registerer; with a nil Registerer they count
// without being exposed. Labels come from enums and exist from the start.

type publisherMetrics struct {
	accepted, rejected, lost prometheus.Counter
	retried, epochs          prometheus.Counter
	unreplicated, held       prometheus.Counter
	pipelineQuotes           prometheus.Histogram
	seconds, replication     prometheus.Histogram
}

func newPublisherMetrics(reg prometheus.Registerer, depth func() float64) *publisherMetrics {
	f := promauto.With(reg)
	published := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_feed_published_total",
		Help: "Quotes passed to Publish, by result. lost: Redis did not accept the quote, or it is unknown whether it did; above 0 only while Redis is in trouble.",
	}, []string{"result"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_feed_publish_queue_quotes",
		Help: "Quotes waiting to be published. Steadily above a few hundred: Redis or the network is too slow for the producers.",
	}, depth)
	return &publisherMetrics{
		accepted: published.WithLabelValues("accepted"),
		rejected: published.WithLabelValues("rejected"),
		lost:     published.WithLabelValues("lost"),
		retried: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_publish_retries_total",
			Help: "Quotes sent again because Redis had certainly not processed them (not connected, loading, another server, script unknown). Grows only around restarts and failovers.",
		}),
		epochs: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_epochs_total",
			Help: "New sequences that this publisher has seen begin. Grows with new symbols, and when Redis lost counters; clients then cannot resume.",
		}),
		unreplicated: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_unreplicated_total",
			Help: "Quotes that were accepted, but that no replica had within 1 s; with PUBLISH_ACK=replicated only. Growing: a master has no replica, or one that is too slow, and a failover would lose these quotes.",
		}),
		held: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_failover_held_total",
			Help: "Quotes that waited until Sentinel had replaced the master. Grows only during failovers: a second of quotes for each.",
		}),
		replication: f.NewHistogram(prometheus.HistogramOpts{
			Name: "fx_feed_replication_seconds", Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 10),
			Help: "Time that WAIT took until a replica had the accepted quotes, in seconds; with PUBLISH_ACK=replicated only. Above 0.1: the replica or its link is slow.",
		}),
		pipelineQuotes: f.NewHistogram(prometheus.HistogramOpts{
			Name: "fx_feed_publish_pipeline_quotes", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
			Help: "Quotes per round trip to Redis. Near 256: publishing is at its limit.",
		}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "fx_feed_publish_seconds", Buckets: prometheus.ExponentialBuckets(0.0002, 2.5, 11),
			Help: "Duration of a round trip that publishes quotes, in seconds. Above 0.1: Redis is slow.",
		}),
	}
}

type rejectedMetrics struct {
	byReason          map[feed.Reason]prometheus.Counter
	byVia             map[rejectedBy]prometheus.Counter
	dropped           prometheus.Counter
	untimed, badSizes prometheus.Counter
}

// rejectedBy is a reason with the way by which the quote came in.
type rejectedBy struct {
	reason feed.Reason
	via    Via
}

func newRejectedMetrics(reg prometheus.Registerer) *rejectedMetrics {
	f := promauto.With(reg)
	vec := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_feed_rejected_total",
		Help: "Rejected quotes by reason. Growing: a producer sends quotes that cannot be used; the log of rejected quotes shows examples.",
	}, []string{"reason"})
	byVia := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_feed_rejected_via_total",
		Help: "Rejected quotes by reason and by the way they came in: inbox, stream and http on nodes, simulate on an embedded one. One of them growing: a producer there sends quotes that cannot be used.",
	}, []string{"reason", "via"})
	m := &rejectedMetrics{byReason: map[feed.Reason]prometheus.Counter{}, byVia: map[rejectedBy]prometheus.Counter{}, dropped: f.NewCounter(prometheus.CounterOpts{
		Name: "fx_feed_rejected_log_dropped_total",
		Help: "Rejected quotes that were counted but not written to the shared log: too many came at once, or Redis was lost.",
	}), untimed: f.NewCounter(prometheus.CounterOpts{
		Name: "fx_feed_untimed_total",
		Help: "Quotes that were given the time of acceptance because they had no time, or one without a zone. Growing: a producer should send its time, in UTC with a Z.",
	}), badSizes: f.NewCounter(prometheus.CounterOpts{
		Name: "fx_feed_bad_sizes_total",
		Help: "Sizes left out of quotes because they were not a decimal number of 0 or more. Growing: a producer sends other text as bid_size or ask_size.",
	})}
	for _, r := range feed.Reasons() {
		m.byReason[r] = vec.WithLabelValues(string(r))
		for _, via := range vias {
			m.byVia[rejectedBy{r, via}] = byVia.WithLabelValues(string(r), string(via))
		}
	}
	return m
}

// reject counts a rejected quote by reason and by way in.
func (m *rejectedMetrics) reject(reason feed.Reason, via Via) {
	if c := m.byReason[reason]; c != nil {
		c.Inc()
	}
	if c := m.byVia[rejectedBy{reason, via}]; c != nil {
		c.Inc()
	}
}

// Why a message of the inbox did not become a published or rejected quote.
type lossCause string

const (
	lossLead  lossCause = "lease" // this node was no longer the leader when it came to publish
	lossRedis lossCause = "redis" // not published, or unknown whether it was
)

type inboxMetrics struct {
	messages, unzoned, leadLost prometheus.Counter
	held                        prometheus.Gauge
	lost                        map[lossCause]prometheus.Counter
}

func newInboxMetrics(reg prometheus.Registerer) *inboxMetrics {
	f := promauto.With(reg)
	lost := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_feed_inbox_lost_total",
		Help: "Quotes taken from the inbox and lost. lease: this node was no longer the leader; redis: Redis did not answer. Quotes that came too fast count as rejected, reason overflow.",
	}, []string{"cause"})
	m := &inboxMetrics{
		messages: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_inbox_messages_total", Help: "Messages received from the inbox. Still while producers publish, on every node: no node reads the inbox."}),
		unzoned: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_inbox_unzoned_total", Help: "Quotes whose time had no zone and was replaced by that of publishing. Growing: a producer should send UTC with a Z."}),
		leadLost: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_inbox_lost_lease_total", Help: "Times this node lost the inbox other than by stopping: the connection was silent, or it could not stay the leader."}),
		held: f.NewGauge(prometheus.GaugeOpts{
			Name: "fx_feed_inbox_held", Help: "1 on the node that reads the inbox. The sum over all nodes must be 1."}),
		lost: map[lossCause]prometheus.Counter{},
	}
	for _, c := range []lossCause{lossLead, lossRedis} {
		m.lost[c] = lost.WithLabelValues(string(c))
	}
	return m
}

type streamMetrics struct {
	entries, repeated, trimmed, retries prometheus.Counter
	waiting                             prometheus.Gauge
	since                               atomic.Int64 // when the oldest entry that waits was added, by this node's clock in ns; 0 = none
}

func newStreamMetrics(reg prometheus.Registerer) *streamMetrics {
	f := promauto.With(reg)
	m := &streamMetrics{
		entries: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_stream_entries_total", Help: "Entries of FEED_STREAM that this node has settled. Still on every node while producers add entries: no node reads the stream."}),
		repeated: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_stream_repeated_total", Help: "Quotes of FEED_STREAM that were read again and had been settled before. Grows with failures and changes of the leader only."}),
		trimmed: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_stream_trimmed_total", Help: "Entries of FEED_STREAM that were removed before they were read, and so lost (Redis 7.0 or later). Above 0: no node read for long, or the MAXLEN of producers is too low."}),
		retries: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_stream_retries_total", Help: "Times that FEED_STREAM was read again from the stored place because Redis had failed. Growing: the log line stream: retrying has the reason."}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "fx_feed_stream_lag_entries", Help: "Entries of FEED_STREAM that are not settled yet, on the node that reads it. Growing: producers are faster than Redis accepts quotes."}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_feed_stream_lag_seconds", Help: "Age of the oldest entry of FEED_STREAM that is not settled yet, in seconds, on the node that reads it; or the time for which it cannot read. Above 5: the stream is held up."}, m.lag)
	return m
}

// behind notes that entries wait, and for how long the oldest one has.
func (m *streamMetrics) behind(entries int64, oldest time.Duration) {
	m.waiting.Set(float64(entries))
	m.since.Store(time.Now().Add(-oldest).UnixNano())
}

// held notes that it is not known whether entries wait, which counts as if one did from now on.
func (m *streamMetrics) held() { m.since.CompareAndSwap(0, time.Now().UnixNano()) }

// caughtUp notes that none waits.
func (m *streamMetrics) caughtUp() {
	m.waiting.Set(0)
	m.since.Store(0)
}

func (m *streamMetrics) lag() float64 {
	since := m.since.Load()
	if since == 0 {
		return 0
	}
	return max(time.Since(time.Unix(0, since)), 0).Seconds()
}
