package vendor

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	leader, up, silent, halted          prometheus.Gauge
	silences                            prometheus.Counter
	failed, refused, throttled          prometheus.Counter
	messages, quotes, repeated, ignored prometheus.Counter

	heard atomic.Int64 // Unix nanoseconds of the newest sign of life; 0 = none yet
}

func newMetrics(reg prometheus.Registerer, vendor string) *metrics {
	labels := prometheus.Labels{"vendor": vendor}
	f := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	ended := f.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_connect_failures_total", ConstLabels: labels,
		Help: "Connections to the vendor that failed or ended, by reason. refused: the key, the account or the symbols; throttled: too many connections or requests; failed: anything else. Growing steadily: the vendor or the network is in trouble.",
	}, []string{"reason"})
	m := &metrics{
		leader: gauge("fx_connect_leader", "1 while this process is the one that is connected or connecting. 0: it stands by. The sum over all processes must be 1."),
		up:     gauge("fx_connect_up", "1 while the vendor sends messages. 0 on the process with fx_connect_leader 1: there are no prices."),
		silent: gauge("fx_connect_silent", "1 while the vendor has sent nothing for two of its heartbeats. Its symbols are then stale or closed."),
		halted: gauge("fx_connect_halted_symbols", "Symbols that the vendor reports as not tradeable. All of them outside trading hours."),
		silences: counter("fx_connect_silences_total",
			"Times the vendor sent nothing for two of its heartbeats. More than a few a day: the network or the vendor is unreliable."),
		failed: ended.WithLabelValues("failed"), refused: ended.WithLabelValues("refused"), throttled: ended.WithLabelValues("throttled"),
		messages: counter("fx_connect_messages_total", "Messages of the vendor, and other signs of life. Not growing on the leader: see fx_connect_silent."),
		quotes:   counter("fx_connect_quotes_total", "Quotes of the vendor that were passed on for publishing. Not growing while the market is open: the vendor sends no prices."),
		repeated: counter("fx_connect_repeated_total", "Quotes that repeated the one before, and were left out. As many as quotes: the vendor sends everything twice."),
		ignored:  counter("fx_connect_ignored_total", "Messages of an unknown kind. Growing: the vendor has changed its protocol."),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_connect_message_age_seconds", ConstLabels: labels,
		Help: "Time since the last sign of life of the vendor. Above two heartbeats: it is silent. -1: none yet.",
	}, func() float64 {
		at := m.heard.Load()
		if at == 0 {
			return -1
		}
		return time.Since(time.Unix(0, at)).Seconds()
	})
	return m
}
