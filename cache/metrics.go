package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fxcast/fxcast/internal/redislink"
)

// otherNamespace is the label of the namespaces that were not declared.
const otherNamespace = "other"

// result is what a look-up came to.
type result int

const (
	resultHit       result = iota
	resultStale            // a value beyond its TTL, which only Fetch serves
	resultMemory           // Redis is lost, this process's copy answered
	resultKnownMiss        // a remembered miss answered
	resultMiss             // not there
	resultError            // not known
	results
)

func (r result) String() string {
	return [results]string{"hit", "stale", "memory", "known_miss", "miss", "error"}[r]
}

func (r result) hasValue() bool { return r <= resultMemory }

// loadResult is what a load of Fetch came to.
type loadResult int

const (
	loadOK loadResult = iota
	loadMiss
	loadError
	loadSuperseded // not stored; counted beside one of the others
	loadResults
)

func (r loadResult) String() string {
	return [loadResults]string{"ok", "miss", "error", "superseded"}[r]
}

// counts of one namespace.
type counts struct {
	looks   [results]atomic.Uint64
	metrics [results]prometheus.Counter
	loads   [loadResults]prometheus.Counter
}

func (c *counts) look(r result) {
	c.looks[r].Add(1)
	c.metrics[r].Inc()
}

// Stats of a namespace since this process began.
type Stats struct {
	Hits   uint64 // look-ups the cache answered: a value, or that there is none
	Misses uint64 // look-ups it did not
	Errors uint64 // look-ups of which it is not known, since Redis was lost; in neither of the others

	Stale  uint64 // of Hits: beyond the TTL
	Memory uint64 // of Hits: from this process's copy
}

// HitRatio returns the part of the look-ups that the cache answered, 0 to 1.
// ok is false if there were none.
func (s Stats) HitRatio() (ratio float64, ok bool) {
	if s.Hits+s.Misses == 0 {
		return 0, false
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses), true
}

// Stats returns the counts of the namespace, over all its handles.
func (n *Namespace) Stats() Stats { return n.space.counts.stats() }

// HitRatio is that of Stats.
func (n *Namespace) HitRatio() (ratio float64, ok bool) { return n.Stats().HitRatio() }

// Stats returns the counts of each namespace in use, by name, and their sum.
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
			Help: "Keys looked up in the cache, by result. Mostly miss: values expire before they are used again, or Redis evicts them. memory and error: Redis is lost."},
			[]string{"namespace", "result"}),
		loads: f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_loads_total",
			Help: "Values loaded from their source because the cache did not have them. error: the source fails. superseded: not stored, since the key was changed meanwhile."},
			[]string{"namespace", "result"}),
	}
	for _, name := range append([]string{otherNamespace}, namespaces...) {
		m.declared[name] = true
		m.namespace(name)
	}
	failed := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_redis_failures_total",
		Help: "Round trips that Redis did not answer or refused, by reason. timeout: slow or gone; memory: full, values are not stored; refused: permissions, or a replica."},
		[]string{"reason"})
	for r := range redislink.Failures {
		m.failures[r] = failed.WithLabelValues(r.String())
	}
	writes := f.NewCounterVec(prometheus.CounterOpts{Name: "fx_cache_writes_total",
		Help: "Keys written or deleted, by result. failed: Redis was lost or refused, and callers were told; after a load nobody is."},
		[]string{"result"})
	m.writesOK, m.writesFail = writes.WithLabelValues("ok"), writes.WithLabelValues("failed")
	m.loadSeconds = f.NewHistogram(prometheus.HistogramOpts{Name: "fx_cache_load_seconds",
		Help:    "Time of a load from its source, which the callers of Fetch wait for unless a stale value serves them.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}})
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.foreign = counter("fx_cache_unreadable_values_total",
		"Values with this cache's header that it cannot read, taken as bytes. Above 0: damaged, or written by a newer version.")
	m.invalidated = counter("fx_cache_invalidated_keys_total", "Keys deleted by pattern. Rising steadily: something invalidates where a TTL would do.")
	m.bumps = counter("fx_cache_version_bumps_total", "Namespaces invalidated as a whole. Often: the cache cannot fill.")
	m.versionsLost = counter("fx_cache_versions_lost_total", "Times Redis had forgotten a namespace's version, which was then renewed. Above 0 without a restart: Redis evicts keys that have no expiry.")
	m.reloadsSkipped = counter("fx_cache_reloads_skipped_total", "Stale values not reloaded at once because too many others were. Rising: the source is too slow for the TTLs.")
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("fx_cache_degraded", "1 while Redis is lost to this cache: recent values answer, writes are refused. Always 0 on a cluster, where each call tries.", func() float64 {
		if c.breaker.Lost() {
			return 1
		}
		return 0
	})
	gauge("fx_cache_copy_entries", "Values in the copy for times without Redis.", func() float64 { n, _, _ := c.recent.stats(); return float64(n) })
	gauge("fx_cache_copy_bytes", "Size of that copy, overhead included. At its bound it keeps only the latest used.", func() float64 { _, n, _ := c.recent.stats(); return float64(n) })
	f.NewCounterFunc(prometheus.CounterOpts{Name: "fx_cache_copy_evicted_total",
		Help: "Values that made room for others in the copy. Rising fast: in an outage few reads would be answered."},
		func() float64 { _, _, n := c.recent.stats(); return float64(n) })
	return m
}

// namespace returns new counts of a namespace, with the counters of its label.
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
