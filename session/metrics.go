package session

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type loadResult int

const (
	loadOK loadResult = iota
	loadNotFound
	loadCorrupt
	loadUnavailable
	loadResults
)

func loadResultOf(err error) loadResult {
	switch {
	case err == nil:
		return loadOK
	case errors.Is(err, ErrCorrupt):
		return loadCorrupt
	case errors.Is(err, ErrUnavailable):
		return loadUnavailable
	}
	return loadNotFound
}

type ticketResult int

const (
	ticketIssued ticketResult = iota
	ticketRedeemed
	ticketRefused
	ticketResults
)

type checkResult int

const (
	checkAlive checkResult = iota
	checkGone
	checkFailed
	checkResults
)

type metrics struct {
	loads                                                 [loadResults]prometheus.Counter
	tickets                                               [ticketResults]prometheus.Counter
	checks                                                [checkResults]prometheus.Counter
	ends                                                  [reasons]prometheus.Counter
	created, renewed, extended, revoked, adopted, rebuked prometheus.Counter
	noticesIn, noticesBad, noticesFailed                  prometheus.Counter
	reconnects, forgotten, followDropped                  prometheus.Counter
	checkSeconds                                          prometheus.Histogram
	leasesDenied, leasesFailed                            prometheus.Counter
	leases                                                prometheus.Gauge
	guests                                                prometheus.Gauge
	guestsRefused                                         prometheus.Counter
	bindings                                              prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, m *Manager) *metrics {
	f := promauto.With(reg)
	count := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vec := func(name, label, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	loads := vec("fx_session_loads_total", "result",
		"Lookups of sessions by result. corrupt above 0: another program writes keys that cannot be read. unavailable: Redis was lost, and requests were answered with 503. not_found rising fast: a client guesses tokens.")
	events := vec("fx_session_events_total", "event",
		"Events of sessions. adopted: another program created the session, and this node completed it. revoked_again above 0: Redis came back with older data, and revoked sessions had to be deleted again.")
	tickets := vec("fx_session_tickets_total", "result", "One-use tickets by result. refused rising: clients use tickets twice, or guess them.")
	checks := vec("fx_session_checks_total", "result", "Re-checks of sessions that have bindings, by result. failed: Redis did not answer for the session; after the grace its bindings end.")
	ends := vec("fx_session_bindings_ended_total", "reason", "Ended bindings by reason. cutoff above 0: Redis was lost for longer than the grace.")
	out := &metrics{
		created: events.WithLabelValues("created"), renewed: events.WithLabelValues("renewed"),
		extended: events.WithLabelValues("extended"), revoked: events.WithLabelValues("revoked"),
		adopted: events.WithLabelValues("adopted"), rebuked: events.WithLabelValues("revoked_again"),
		noticesIn:     count("fx_session_notices_received_total", "Notices about sessions received from all nodes, including this one."),
		noticesBad:    count("fx_session_notices_bad_total", "Invalid notices on the control channel. Above 0: another program publishes there."),
		noticesFailed: count("fx_session_notices_failed_total", "Notices that could not be published. Rising: other nodes notice ended sessions only at their re-check."),
		reconnects:    count("fx_session_control_reconnects_total", "Times the control subscription was opened again. Rising steadily: the connection to Redis is unstable."),
		forgotten:     count("fx_session_revoked_forgotten_total", "Revoked ids dropped early because 100000 were kept. Above 0: a failover to old data may bring them back."),
		followDropped: count("fx_session_renewals_dropped_total", "Renewals that were not looked up at once because too many came together. Above 0: sockets follow them only at the re-check."),
		checkSeconds: f.NewHistogram(prometheus.HistogramOpts{Name: "fx_session_check_seconds",
			Help:    "Duration of one re-check of all bound sessions. Near 3 s or more: ended sessions are noticed too late.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 3, 10}}),
		bindings:      f.NewGauge(prometheus.GaugeOpts{Name: "fx_session_bindings", Help: "Open bindings (sockets, streams) on this node."}),
		leases:        f.NewGauge(prometheus.GaugeOpts{Name: "fx_session_connection_leases", Help: "Connection leases that this node keeps alive."}),
		guests:        f.NewGauge(prometheus.GaugeOpts{Name: "fx_session_guests", Help: "Guests over all nodes when this node last created one. Near GUEST_MAX: new ones are refused soon."}),
		guestsRefused: count("fx_session_guests_refused_total", "Guest sessions refused because GUEST_MAX exist. Growing: somebody floods the server, or the limit is too low."),
		leasesDenied:  count("fx_session_connection_leases_denied_total", "Connections of users that had the most connections allowed over all nodes. Each is refused, unless a silent connection gives way."),
		leasesFailed:  count("fx_session_connection_leases_failed_total", "Failed refreshes of connection leases. Rising: a lease that is not refreshed for 45 s no longer counts."),
	}
	for i, l := range [loadResults]string{"ok", "not_found", "corrupt", "unavailable"} {
		out.loads[i] = loads.WithLabelValues(l)
	}
	for i, l := range [ticketResults]string{"issued", "redeemed", "refused"} {
		out.tickets[i] = tickets.WithLabelValues(l)
	}
	for i, l := range [checkResults]string{"alive", "gone", "failed"} {
		out.checks[i] = checks.WithLabelValues(l)
	}
	for i := range out.ends {
		out.ends[i] = ends.WithLabelValues(Reason(i).String())
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_session_degraded",
		Help: "1 while this node has lost Redis: sessions cannot be checked, and revocations do not arrive."},
		func() float64 {
			if m.Degraded() {
				return 1
			}
			return 0
		})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_session_probe_age_seconds",
		Help: "Age of the last probe that came back over the control channel. Above 3: revocations on other nodes do not arrive."},
		func() float64 { return m.ProbeAge().Seconds() })
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_session_revoked_remembered",
		Help: "Revoked ids kept against a failover to old data. At 100000: new ids replace old ones."},
		func() float64 {
			m.mu.Lock()
			defer m.mu.Unlock()
			return float64(len(m.revoked))
		})
	return out
}
