package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/internal/redislink"
)

// otherNamespace is the label of namespaces that are not in Config.Namespaces.
const otherNamespace = "other"

// result is the result of a look-up. Its String is a metric label.
type result int

const (
	resultHit       result = iota
	resultStale            // a value that has outlived its TTL, which only Fetch returns
	resultMemory           // the copy in this process answered, because Redis is lost
	resultKnownMiss        // a cached miss answered
	resultMiss             // not in the cache
	resultError            // unknown
	results
)

func (r result) String() string {
	return [results]string{"hit", "stale", "memory", "known_miss", "miss", "error"}[r]
}

func (r result) hasValue() bool { return r <= resultMemory }

// loadResult is the result of a load of Fetch. Its String is a metric label.
type loadResult int

const (
	loadOK loadResult = iota
	loadMiss
	loadError
	loadSuperseded // not stored; counted in addition to one of the others
	loadResults
)

func (r loadResult) String() string {
	return [loadResults]string{"ok", "miss", "error", "superseded"}[r]
}

// counts are the counters of one namespace.
type counts struct {
	looks   [results]atomic.Uint64
	metrics [results]prometheus.Counter
	loads   [loadResults]prometheus.Counter
}

func (c *counts) look(r result) {
	c.looks[r].Add(1)
	c.metrics[r].Inc()
}

// Stats counts the look-ups of a namespace since the start of this process.
type Stats struct {
	Hits   uint64 // look-ups that the cache answered, with a value or a cached miss
	Misses uint64 // look-ups that it did not answer
	Errors uint64 // look-ups without a result, because Redis was lost; neither hits nor misses

	Stale  uint64 // hits that had outlived their TTL
	Memory uint64 // hits from the copy in this process
}

// HitRatio returns the share of look-ups that the cache answered, from 0 to 1. ok is false if there
// were none.
func (s Stats) HitRatio() (ratio float64, ok bool) {
	if s.Hits+s.Misses == 0 {
		return 0, false
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses), true
}

// Stats returns the counts of the namespace over all its handles.
func (n *Namespace) Stats() Stats { return n.space.counts.stats() }

// Stats returns the counts of each namespace in use by name, and their sum.
func (c *Cache) Stats() (namespaces map[string]Stats, total Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	namespaces = make(map[string]Stats, len(c.spaces))
	for name, space := range c.spaces {
		s := space.counts.stats()
		namespaces[name] = s
		total.Hits += s.Hits
		total.Misses += s.Misses
		total.Errors += s.Errors
		total.Stale += s.Stale
		total.Memory += s.Memory
	}
	return namespaces, total
}

func (c *counts) stats() Stats {
	n := func(r result) uint64 { return c.looks[r].Load() }
	return Stats{
		Hits:   n(resultHit) + n(resultStale) + n(resultMemory) + n(resultKnownMiss),
		Misses: n(resultMiss), Errors: n(resultError),
		Stale: n(resultStale), Memory: n(resultMemory),
	}
}

type metrics struct {
	declared map[string]bool // static
	lookups  *prometheus.CounterVec
	loads    *prometheus.CounterVec

	failures             [redislink.Failures]prometheus.Counter
	writesOK, writesFail prometheus.Counter
	loadSeconds          prometheus.Histogram
	foreign, invalidated prometheus.Counter
	bumps, versionsLost  prometheus.Counter
	reloadsSkipped       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, namespaces []string, c *Cache) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		declared: map[string]bool{},
		lookups: f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_lookups_total",
			Help: "Keys looked up in the cache, by result. Mostly miss: values expire before they are read again, or Redis evicts them. memory or error: Redis is lost."},
			[]string{"namespace", "result"}),
		loads: f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_loads_total",
			Help: "Values loaded from their source because the cache did not have them. error: the source fails. superseded: not stored, because the key was changed during the load."},
			[]string{"namespace", "result"}),
	}
	for _, name := range append([]string{otherNamespace}, namespaces...) {
		m.declared[name] = true
		m.namespace(name)
	}
	failed := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_redis_failures_total",
		Help: "Round trips that Redis did not answer or refused, by reason. timeout: it is slow or down. memory: it is full and values are not stored. refused: no permission, or it is a replica."},
		[]string{"reason"})
	for r := range redislink.Failures {
		m.failures[r] = failed.WithLabelValues(r.String())
	}
	writes := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_writes_total",
		Help: "Keys written or deleted, by result. failed: Redis was lost or refused. The caller received an error, except after a load."},
		[]string{"result"})
	m.writesOK, m.writesFail = writes.WithLabelValues("ok"), writes.WithLabelValues("failed")
	m.loadSeconds = f.NewHistogram(prometheus.HistogramOpts{Name: "fx_cache_load_seconds",
		Help:    "Duration of a load from its source. Callers of Fetch wait for it, unless they receive a stale value.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}})
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.foreign = counter("fx_cache_unreadable_values_total",
		"Values that have this cache's header but cannot be read, and count as bytes. Above 0: they are damaged, or a newer version wrote them.")
	m.invalidated = counter("fx_cache_invalidated_keys_total", "Keys deleted by pattern. Rising steadily: a shorter TTL may serve better than invalidation.")
	m.bumps = counter("fx_cache_version_bumps_total", "Invalidations of a whole namespace. Rising fast: the cache cannot fill.")
	m.versionsLost = counter("fx_cache_versions_lost_total", "Versions of namespaces that Redis had lost and that were renewed. Above 0 without a restart: Redis evicts keys without expiry.")
	m.reloadsSkipped = counter("fx_cache_reloads_skipped_total", "Stale values that were not reloaded at once because too many reloads were running. Rising: the source is too slow for the TTLs.")
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("fx_cache_degraded", "1 while this cache has lost Redis: recent values are served, writes are refused. Always 0 on a cluster, where each call tries.", func() float64 {
		if c.breaker.Lost() {
			return 1
		}
		return 0
	})
	gauge("fx_cache_copy_entries", "Values in the copy that is served without Redis.", func() float64 { n, _, _ := c.recent.stats(); return float64(n) })
	gauge("fx_cache_copy_bytes", "Size of that copy, including overhead. At its bound of 16 MiB: it keeps the most recently used values only.", func() float64 { _, n, _ := c.recent.stats(); return float64(n) })
	f.NewCounterFunc(prometheus.CounterOpts{Name: "fx_cache_copy_evicted_total",
		Help: "Values that were dropped from the copy for newer ones. Rising fast: the copy would serve few reads in an outage."},
		func() float64 { _, _, n := c.recent.stats(); return float64(n) })
	return m
}

// namespace returns new counts for a namespace, with the counters of its label.
func (m *metrics) namespace(name string) *counts {
	if !m.declared[name] {
		name = otherNamespace
	}
	c := &counts{}
	for r := range results {
		c.metrics[r] = m.lookups.WithLabelValues(name, r.String())
	}
	for r := range loadResults {
		c.loads[r] = m.loads.WithLabelValues(name, r.String())
	}
	return c
}

func (m *metrics) wrote(ok, failed int) {
	m.writesOK.Add(float64(ok))
	m.writesFail.Add(float64(failed))
}
