package cache

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	hits, misses, errors prometheus.Counter
}

// newMetrics registers nothing if reg is nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fx_cache_lookups_total",
		Help: "Keys looked up in the cache, by result. Mostly misses: values expire before they are used again, or Redis evicts them.",
	}, []string{"result"})
	errs := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fx_cache_errors_total",
		Help: "Cache calls that Redis did not answer. Growing: Redis is down, full or overloaded.",
	})
	if reg != nil {
		reg.MustRegister(lookups, errs)
	}
	return &metrics{
		hits:   lookups.WithLabelValues("hit"),
		misses: lookups.WithLabelValues("miss"),
		errors: errs,
	}
}
