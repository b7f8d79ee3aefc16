package limiter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/internal/redislink"
)

const otherTier = "other"

type result int

const (
	resultAllowed result = iota
	resultRefused
	resultWouldRefuse
	results
)

func (r result) String() string { return [results]string{"allowed", "refused", "would_refuse"}[r] }

type metrics struct {
	tiers              map[string]int // name to index in verdicts; static after construction
	verdicts           [][results][len(sources)]prometheus.Counter
	decisions          [results][len(sources)]prometheus.Counter
	failures           *prometheus.CounterVec
	repaired, wentBack prometheus.Counter
	seconds            prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, names []string, l *Limiter) *metrics {
	f := promauto.With(reg)
	m := &metrics{tiers: map[string]int{}}
	verdicts := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_limiter_tier_decisions_total",
		Help: "Outcomes of calls by tier. refused rising for one tier only: clients reach that limit. Source local or policy above 0: Redis was lost."},
		[]string{"tier", "outcome", "source"})
	decisions := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_limiter_decisions_total",
		Help: "Decisions over all tiers of a call. Source front: refusals that cost Redis nothing. Source local or policy: Redis was lost. would_refuse: the dry run is on."},
		[]string{"outcome", "source"})
	m.failures = f.NewCounterVec(prometheus.CounterOpts{Name: "fx_limiter_redis_failures_total",
		Help: "Calls that Redis did not decide, by reason. Each begins an outage on this node, during which the policy decides. timeout alone: Redis or this node is too slow."},
		[]string{"reason"})
	for _, name := range append(names[:len(names):len(names)], otherTier) {
		if _, ok := m.tiers[name]; ok {
			continue
		}
		m.tiers[name] = len(m.verdicts)
		var byResult [results][len(sources)]prometheus.Counter
		for r := range results {
			for s, source := range sources {
				byResult[r][s] = verdicts.WithLabelValues(name, r.String(), string(source))
			}
		}
		m.verdicts = append(m.verdicts, byResult)
	}
	for r := range results {
		for s, source := range sources {
			m.decisions[r][s] = decisions.WithLabelValues(r.String(), string(source))
		}
	}
	for i := range redislink.Failures {
		m.failures.WithLabelValues(reasonOf(i))
	}
	m.repaired = f.NewCounter(prometheus.CounterOpts{Name: "fx_limiter_keys_repaired_total",
		Help: "Keys that did not hold a window and counted as empty. Above 0: another program writes keys that begin with ratelimit:."})
	m.wentBack = f.NewCounter(prometheus.CounterOpts{Name: "fx_limiter_clock_went_back_total",
		Help: "Windows that were ahead of Redis's clock. Above 0: the clock went back, or a failover chose a node whose clock is behind."})
	m.seconds = f.NewHistogram(prometheus.HistogramOpts{Name: "fx_limiter_redis_seconds",
		Help:    "Duration of a decision by Redis, including failures. Near the timeout of 50 ms: this node is about to decide alone.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1}})
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("fx_limiter_degraded", "1 while this node's limiter has lost Redis and the policy decides.", func() float64 {
		if l.Lost() {
			return 1
		}
		return 0
	})
	gauge("fx_limiter_front_refusals", "Refusals that this node remembers, including expired ones. At its bound of 10,000: floods of refused calls reach Redis again.", func() float64 {
		n, _ := l.refusals.stats()
		return float64(n)
	})
	gauge("fx_limiter_local_windows", "Windows in this node's memory. At its bound of 50,000: some subjects start with an empty window in an outage.", func() float64 {
		n, _ := l.local.stats()
		return float64(n)
	})
	f.NewCounterFunc(prometheus.CounterOpts{Name: "fx_limiter_front_evicted_total",
		Help: "Remembered refusals that were dropped for newer ones. Rising: more subjects are refused at once than this node remembers."},
		func() float64 { _, n := l.refusals.stats(); return float64(n) })
	f.NewCounterFunc(prometheus.CounterOpts{Name: "fx_limiter_local_evicted_total",
		Help: "Windows in memory that were dropped for newer ones. Rising in an outage: limits do not hold for all subjects."},
		func() float64 { _, n := l.local.stats(); return float64(n) })
	return m
}

// decided counts one decision and the outcome of each tier.
func (m *metrics) decided(d *Decision) {
	source := 0
	for i, s := range sources {
		if s == d.Source {
			source = i
		}
	}
	refusal := resultRefused
	if d.WouldRefuse {
		refusal = resultWouldRefuse
	}
	overall := refusal
	if d.Allowed && !d.WouldRefuse {
		overall = resultAllowed
	}
	m.decisions[overall][source].Inc()
	for i := range d.Tiers {
		t, ok := m.tiers[d.Tiers[i].Name]
		if !ok {
			t = m.tiers[otherTier]
		}
		r := resultAllowed
		if d.Tiers[i].Refused() {
			r = refusal
		}
		m.verdicts[t][r][source].Inc()
	}
}

// failed counts a call that Redis did not decide.
func (m *metrics) failed(f redislink.Failure) { m.failures.WithLabelValues(reasonOf(f)).Inc() }

// reasonOf returns the label of a failure. A Redis that is loading refuses.
func reasonOf(f redislink.Failure) string {
	if f == redislink.FailLoading {
		f = redislink.FailRefused
	}
	return f.String()
}

// keys counts the unusual keys that a decision met.
func (m *metrics) keys(o outcome) {
	if o.damaged > 0 {
		m.repaired.Add(float64(o.damaged))
	}
	if o.wentBack > 0 {
		m.wentBack.Add(float64(o.wentBack))
	}
}
