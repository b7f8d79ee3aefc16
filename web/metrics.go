package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/protocol"
)

type metrics struct {
	panics        prometheus.Counter
	upgrades      *prometheus.CounterVec
	commandErrors *prometheus.CounterVec
	requests      *prometheus.CounterVec
	resumes       *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_web_panics_total",
			Help: "Requests and connections whose code panicked. Not 0: a bug."}),
		upgrades: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_upgrades_total",
			Help: "WebSocket connects by outcome. Many unauthorized or limited: clients retry without a session or too fast."}, []string{"outcome"}),
		commandErrors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_command_errors_total",
			Help: "Error messages sent to clients, by code. Growing: a client speaks the protocol wrongly."}, []string{"code"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_requests_total",
			Help: "Requests by class of status. Growing 5xx: see the log."}, []string{"class"}),
	}
	m.resumes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_resumes_total",
		Help: "Symbols that clients came back to, by result. Many reset: they come back later than history reaches, or Redis is slow."}, []string{"result"})
	for _, result := range []string{"resumed", "reset"} {
		m.resumes.WithLabelValues(result)
	}
	for _, outcome := range []string{"accepted", "unauthorized", "origin", "limited", "unavailable", "bad"} {
		m.upgrades.WithLabelValues(outcome)
	}
	for _, code := range []string{protocol.ErrorBadJSON, protocol.ErrorBadField, protocol.ErrorUnknownOp, protocol.ErrorRateLimited} {
		m.commandErrors.WithLabelValues(code)
	}
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		m.requests.WithLabelValues(class)
	}
	if reg != nil {
		reg.MustRegister(m.panics, m.upgrades, m.commandErrors, m.requests, m.resumes)
	}
	return m
}
