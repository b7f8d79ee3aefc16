package web

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	panics   prometheus.Counter
	stalled  prometheus.Counter
	requests *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_web_panics_total",
			Help: "Panics in the code of requests and connections. Not 0: a bug; the log has the panic."}),
		stalled: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_web_stalled_uploads_total",
			Help: "Requests answered 408 because their body did not arrive in time. Growing: a bad network of a publisher, or an attack with slow bodies."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_requests_total",
			Help: "Requests by class of HTTP status. Growing 5xx: see the log for the cause."}, []string{"class"}),
	}
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		m.requests.WithLabelValues(class)
	}
	if reg != nil {
		reg.MustRegister(m.panics, m.stalled, m.requests)
	}
	return m
}
