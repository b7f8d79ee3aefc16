package web_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/web"
)

// A renamed metric is still served under the name that dashboards of the last release use.
func TestRenamedMetricsKeepTheirOldName(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fx_hub_client_disconnects_total", Help: "Help."}, []string{"reason"})
	reg.MustRegister(ended)
	ended.WithLabelValues("slow").Add(3)
	want := `# HELP fx_hub_client_disconnects_total Help.
# TYPE fx_hub_client_disconnects_total counter
fx_hub_client_disconnects_total{reason="slow"} 3
# HELP fx_hub_ended_total Deprecated: use fx_hub_client_disconnects_total.
# TYPE fx_hub_ended_total counter
fx_hub_ended_total{reason="slow"} 3
`
	if err := testutil.GatherAndCompare(web.RenamedMetrics{Gatherer: reg}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
