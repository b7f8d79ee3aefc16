package pagetest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A Metric is what a registry describes.
type Metric struct{ Name, Type, Labels, Help string }

// described matches the text of a prometheus.Desc, which has no other way to its fields.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: (".*"), constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

var labelName = regexp.MustCompile(`(\w+)="`)

// Metrics returns the program's own metrics in a registry, sorted by name.
func Metrics(t *testing.T, registry *prometheus.Registry) (metrics []Metric) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("not understood: %s", d)
			continue
		}
		var help string
		if _, err := fmt.Sscanf(m[2], "%q", &help); err != nil {
			t.Error(err)
		}
		typ := types[m[1]]
		if typ == "" && strings.HasSuffix(m[1], "_total") {
			typ = "counter" // no series yet
		}
		if !strings.HasPrefix(m[1], "fx_") {
			continue
		}
		if typ == "" || help == "" {
			t.Errorf("%s has no type (%q) or no help (%q)", m[1], typ, help)
		}
		var labels []string
		for _, constant := range labelName.FindAllStringSubmatch(m[3], -1) {
			labels = append(labels, constant[1])
		}
		if m[4] != "" {
			labels = append(labels, strings.Split(m[4], ",")...)
		}
		metrics = append(metrics, Metric{m[1], typ, strings.Join(labels, ", "), help})
	}
	slices.SortFunc(metrics, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Compact(metrics)
}

// MetricTable returns a Markdown table of metrics.
func MetricTable(metrics []Metric) string {
	var b strings.Builder
	b.WriteString("| name | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		labels := "–"
		if m.Labels != "" {
			labels = "`" + strings.ReplaceAll(m.Labels, ", ", "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, Cell(m.Help))
	}
	return b.String()
}
