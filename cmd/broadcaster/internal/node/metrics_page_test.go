package node

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/pagetest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestMetricsPage checks that docs/reference/metrics.md has the metrics of a node with everything on.
func TestMetricsPage(t *testing.T) {
	server := redistest.Start(t)
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	programtest.Certificate(t, cert, key, 1)
	cfg := programtest.Load(t, "REDIS_URL=redis://"+server.Addr(), "TLS_CERT_FILE="+cert, "TLS_KEY_FILE="+key, "FEED_CHANNELS=news", "GUEST_SESSIONS=true")
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	n, err := New(cfg, client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pagetest.Check(t, "docs/reference/metrics.md", "node", pagetest.MetricTable(pagetest.Metrics(t, n.registry)))
}
