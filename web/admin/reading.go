package admin

import (
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// A plotKind is how a series follows from a metric.
type plotKind int

const (
	level     plotKind = iota // of a gauge: its highest value in a step
	increase                  // of a counter: its increase in a step, per second
	mostDelay                 // of a histogram: the 99th percentile of what it counted in a step
)

// pingMetric is the name under which a reading has the round trip to Redis. No package has a metric
// of this name: the Recorder measures it.
const pingMetric = "ping"

// plotted are the series of a history: the name in the answer, and the metric it follows from.
// Metrics with labels are added up.
var plotted = []struct {
	name, metric string
	kind         plotKind
}{
	{"feed_quotes_per_second", "fx_feed_ticks_per_second", level}, // of all producers, with or without clients
	{"received_quotes_per_second", "fx_feed_received_total", increase},
	{"delivered_quotes_per_second", "fx_hub_delivered_total", increase},
	{"rejected_quotes_per_second", "fx_feed_rejected_total", increase},
	{"clients", "fx_hub_clients", level},
	{"delay_p99_seconds", "fx_hub_latency_seconds", mostDelay},
	{"redis_ping_seconds", pingMetric, level},
	{"memory_bytes", "process_resident_memory_bytes", level},
}

// A reading is the state of the plotted metrics at one moment.
type reading struct {
	at      time.Time
	values  []float64   // of each series: the value of the gauge or counter; NaN = not known
	buckets [][]*bucket // of each series that follows from a histogram: its buckets
}

// A bucket counts the values up to a bound.
type bucket struct {
	bound float64
	count uint64
}

// newReading reads the plotted metrics.
func newReading(at time.Time, families []*dto.MetricFamily, ping float64) *reading {
	r := &reading{at: at, values: make([]float64, len(plotted)), buckets: make([][]*bucket, len(plotted))}
	byName := make(map[string][]*dto.Metric, len(families))
	for _, f := range families {
		byName[f.GetName()] = f.GetMetric()
	}
	for i, p := range plotted {
		metrics := byName[p.metric]
		switch {
		case p.metric == pingMetric:
			r.values[i] = ping
		case len(metrics) == 0:
			r.values[i] = math.NaN()
		case p.kind == mostDelay:
			for _, b := range metrics[0].GetHistogram().GetBucket() {
				r.buckets[i] = append(r.buckets[i], &bucket{b.GetUpperBound(), b.GetCumulativeCount()})
			}
		default:
			for _, m := range metrics {
				r.values[i] += m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is nil, so 0
			}
		}
	}
	return r
}

// since returns the value of a series that is not a level, between an earlier reading and r; NaN if
// it is not known, or if nothing was counted.
func (r *reading) since(before *reading, series int) float64 {
	if plotted[series].kind == mostDelay {
		return percentile(before.buckets[series], r.buckets[series], 0.99)
	}
	seconds, grown := r.at.Sub(before.at).Seconds(), r.values[series]-before.values[series]
	if seconds <= 0 || grown < 0 {
		return math.NaN()
	}
	return grown / seconds
}

// percentile returns the quantile q of the values that a histogram counted between two readings of
// its buckets. It interpolates geometrically within a bucket, since their bounds are powers.
func percentile(before, after []*bucket, q float64) float64 {
	if len(after) == 0 || len(before) != len(after) {
		return math.NaN()
	}
	counted := func(i int) float64 { return float64(after[i].count) - float64(before[i].count) }
	wanted := q * counted(len(after)-1)
	if !(wanted > 0) {
		return math.NaN()
	}
	i := 0
	for counted(i) < wanted {
		i++
	}
	upper := after[i].bound
	if i == 0 {
		return upper
	}
	lower, below := after[i-1].bound, counted(i-1)
	return lower * math.Pow(upper/lower, (wanted-below)/(counted(i)-below))
}
