package receive_test

import (
	"errors"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestMain(m *testing.M) {
	redistest.Silence() // refused connections are part of the tests
	os.Exit(m.Run())
}

// Helpers shared with the tests of other packages.
var (
	keys        = feedtest.Keys
	start       = feedtest.Start
	eventually  = redistest.Eventually
	metric      = feedtest.Metric
	eurusd      = feedtest.EURUSD
	onBoth      = redistest.OnBoth
	manySymbols = feedtest.Symbols
)

// startPublisher returns a running Publisher on c.
func startPublisher(t testing.TB, c redis.UniversalClient, change ...func(*accept.PublisherConfig)) *accept.Publisher {
	t.Helper()
	cfg := accept.PublisherConfig{Redis: c, Keys: keys}
	for _, f := range change {
		f(&cfg)
	}
	p := accept.NewPublisher(cfg)
	start(t, p.Run)
	return p
}

func publishOne(t testing.TB, p *accept.Publisher, q feed.Quote) accept.Outcome {
	t.Helper()
	o, err := p.Publish(t.Context(), []feed.Quote{q})
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return o[0]
}

// publishAgain publishes one quote when the server is back. The first attempt may use the dead
// connection, and its outcome is then unknown.
func publishAgain(t *testing.T, p *accept.Publisher) accept.Outcome {
	t.Helper()
	for range 20 {
		o, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
		if err == nil {
			return o[0]
		}
		if !errors.Is(err, redislink.ErrUnavailable) {
			t.Fatalf("Publish: %v, want ErrUnavailable", err)
		}
	}
	t.Fatal("publishing did not recover")
	return accept.Outcome{}
}
