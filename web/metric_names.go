package web

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// oldMetricNames maps the name of a renamed metric to the name it had in the previous release.
// Remove an entry one release after it was added.
var oldMetricNames = map[string]string{
	"fx_feed_gap_buffer_overflow_total": "fx_feed_held_over_total",
	"fx_hub_client_disconnects_total":   "fx_hub_ended_total",
	"fx_nodes_invalid_messages_total":   "fx_nodes_bad_total",
}

// renamedMetrics gathers metrics and also adds each renamed one under its old name, with the same
// values. So dashboards and alerts have one release to follow a rename, and a package that counts
// needs no code for old names.
type renamedMetrics struct{ prometheus.Gatherer }

// Gather implements prometheus.Gatherer.
func (r renamedMetrics) Gather() ([]*dto.MetricFamily, error) {
	families, err := r.Gatherer.Gather()
	for _, f := range families {
		if old := oldMetricNames[f.GetName()]; old != "" {
			help := "Deprecated: use " + f.GetName() + "."
			families = append(families, &dto.MetricFamily{Name: &old, Help: &help, Type: f.Type, Unit: f.Unit, Metric: f.Metric})
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return families, err
}
