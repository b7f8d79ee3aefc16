package accept_test

import (
	"context"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// silent discards the log of go-redis.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // refused connections are part of the tests
	os.Exit(m.Run())
}

// Helpers shared with the tests of other packages.
var (
	keys        = feedtest.Keys
	start       = feedtest.Start
	eventually  = feedtest.Eventually
	metric      = feedtest.Metric
	eurusd      = feedtest.EURUSD
	someSymbols = feedtest.Symbols
)

// onBoth runs a test with a real server and with the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, c *redis.Client)) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, redistest.Start(t).Client())
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		c, _ := redistest.Embedded(t)
		test(t, c)
	})
}
