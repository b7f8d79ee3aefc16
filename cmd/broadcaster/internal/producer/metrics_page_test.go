package producer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/vendor"
	"github.com/fxcast/fxcast/internal/pagetest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestMetricsPage checks that docs/reference/metrics.md has the metrics that feed connect adds to
// those of the accept script, and that it names the latter among those of a node.
func TestMetricsPage(t *testing.T) {
	server := redistest.Start(t)
	logger := slog.New(slog.DiscardHandler)
	out, err := startOutput(t.Context(), programtest.Load(t, "REDIS_URL=redis://"+server.Addr()), logger)
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	vendor.New(vendor.Config{Vendor: vendor.Named("kraken"), Lease: accept.NewLease(client, out.keys.ConnectLease("kraken"), "test", logger), Registerer: out.registry, Logger: logger,
		Publish: func(context.Context, []feed.Quote) error { return nil }})
	all := pagetest.Metrics(t, out.registry)
	node := pagetest.Part(t, "docs/reference/metrics.md", "node")
	all = slices.DeleteFunc(all, func(m pagetest.Metric) bool { return strings.Contains(node, "| `"+m.Name+"` | "+m.Type+" |") })
	for _, m := range all {
		if !strings.HasPrefix(m.Name, "fx_connect_") {
			t.Errorf("%s is neither a metric of a node nor one of feed connect", m.Name)
		}
	}
	pagetest.Check(t, "docs/reference/metrics.md", "connect", pagetest.MetricTable(all))
}
