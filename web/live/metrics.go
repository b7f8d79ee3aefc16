package live

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/protocol"
)

type metrics struct {
	upgrades      *prometheus.CounterVec
	commandErrors *prometheus.CounterVec
	resumes       *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		upgrades: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_upgrades_total",
			Help: "WebSocket upgrades by outcome. Many unauthorized or limited: clients retry without a session or too fast."}, []string{"outcome"}),
		commandErrors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_command_errors_total",
			Help: "Error messages sent to clients, by code. Growing: a client violates the protocol."}, []string{"code"}),
		resumes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_web_resumes_total",
			Help: "Symbols that reconnecting clients resumed, by result. Many reset: the history is shorter than their absence, or Redis is slow."}, []string{"result"}),
	}
	for _, outcome := range []string{"accepted", "unauthorized", "origin", "limited", "unavailable", "bad"} {
		m.upgrades.WithLabelValues(outcome)
	}
	for _, code := range []string{protocol.ErrorBadJSON, protocol.ErrorBadField, protocol.ErrorUnknownOp, protocol.ErrorRateLimited} {
		m.commandErrors.WithLabelValues(code)
	}
	for _, result := range []string{"resumed", "reset"} {
		m.resumes.WithLabelValues(result)
	}
	reg.MustRegister(m.upgrades, m.commandErrors, m.resumes)
	return m
}
