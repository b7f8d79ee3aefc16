package receive

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/feed"
)

// The metrics of each part are registered once per Registerer; with a nil Registerer they count
// without being exposed. Labels come from enums and exist from the start.

type receiverMetrics struct {
	received, bad, relayed, relayTooLong prometheus.Counter
	lost, resyncs                        prometheus.Counter
	degraded                             prometheus.Gauge
	lag                                  prometheus.Histogram
}

func newReceiverMetrics(reg prometheus.Registerer, probeAge func() float64) *receiverMetrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_feed_probe_age_seconds",
		Help: "Age of the newest probe that came back through Redis, in seconds. Above 3: this node does not receive quotes.",
	}, probeAge)
	return &receiverMetrics{
		received: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_received_total", Help: "Accepted quotes received from Redis."}),
		bad: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_received_bad_total", Help: "Messages on quote channels that are not an accepted quote of the channel's symbol. Above 0: another program publishes there."}),
		relayed: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_relayed_total", Help: "Messages of relayed channels that were passed on."}),
		relayTooLong: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_relay_too_long_total", Help: "Messages of relayed channels dropped because they were over 16 KiB."}),
		lost: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_connection_lost_total", Help: "Times a connection that receives quotes was lost or silent and was reopened."}),
		resyncs: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_resyncs_total", Help: "Times a connection that receives quotes was opened and had read the last values."}),
		degraded: f.NewGauge(prometheus.GaugeOpts{
			Name: "fx_feed_degraded", Help: "1 until quotes can be received from Redis, and while they cannot: clients receive degraded, and /readyz is red."}),
		lag: f.NewHistogram(prometheus.HistogramOpts{
			Name: "fx_feed_lag_seconds", Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 11),
			Help: "Seconds from acceptance by Redis's clock to receipt by this node's clock. Above 1: the network or this node lags, or the clocks differ.",
		}),
	}
}

type boardMetrics struct {
	missed, refilled, overflow prometheus.Counter
	outdated, dropped          prometheus.Counter
	followed                   prometheus.Gauge
	symbols                    map[feed.Status]prometheus.Gauge
}

func newBoardMetrics(reg prometheus.Registerer) *boardMetrics {
	f := promauto.With(reg)
	symbols := f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fx_feed_symbols", Help: "Known symbols by status; those not followed here count as unknown. Many stale ones while the market is open: a producer has stopped.",
	}, []string{"status"})
	m := &boardMetrics{
		missed: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_missed_total", Help: "Accepted quotes that this node neither received nor found in history. Above 0: it was cut off for longer than history lasts, or history could not be read."}),
		refilled: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_refilled_total", Help: "Quotes whose message was lost and that were read from history instead. Grows only when the connection to Redis failed."}),
		overflow: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_gap_buffer_overflow_total", Help: "Received quotes dropped because too many were waiting while a gap was read from history; they are read from history in turn. Growing: history is read too slowly."}),
		followed: f.NewGauge(prometheus.GaugeOpts{
			Name: "fx_feed_followed_symbols", Help: "Symbols that this node receives from Redis: those its clients want, or wanted until recently. Near the number of known symbols with few clients: wildcards."}),
		outdated: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_outdated_total", Help: "Received quotes ignored because a newer one had already arrived. A few around a reconnect are normal."}),
		dropped: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_expired_total", Help: "Last values forgotten because no quote came for LAST_KNOWN_TTL, Redis no longer had them, or they were removed."}),
		symbols: map[feed.Status]prometheus.Gauge{},
	}
	for _, s := range []feed.Status{feed.StatusLive, feed.StatusStale, feed.StatusClosed, feed.StatusUnknown} {
		m.symbols[s] = symbols.WithLabelValues(string(s))
	}
	return m
}

// count counts the effects of a change.
func (m *boardMetrics) count(c change) {
	if c.missed > 0 {
		m.missed.Add(float64(c.missed))
	}
	if c.refilled > 0 {
		m.refilled.Add(float64(c.refilled))
	}
	if c.overflow {
		m.overflow.Inc()
	}
	if c.outdated {
		m.outdated.Inc()
	}
}

type candleMetrics struct {
	followed      prometheus.Gauge
	reads, failed prometheus.Counter
}

func newCandleMetrics(reg prometheus.Registerer) *candleMetrics {
	f := promauto.With(reg)
	return &candleMetrics{
		followed: f.NewGauge(prometheus.GaugeOpts{
			Name: "fx_feed_candles_followed", Help: "Symbols of which this node keeps running candles or day figures, since clients are subscribed to them."}),
		reads: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_candle_reads_total", Help: "Running candles read from Redis: newly wanted ones, those that end without a further quote, and those with missing quotes. Many while quotes flow: this node misses quotes."}),
		failed: f.NewCounter(prometheus.CounterOpts{
			Name: "fx_feed_candle_read_failures_total", Help: "Running candles that could not be read from Redis and are read again. While it grows, clients receive closed candles late."}),
	}
}
