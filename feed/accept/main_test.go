package accept_test

import (
	"os"
	"testing"

	"github.com/fxcast/fxcast/feed/internal/feedtest"
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
	someSymbols = feedtest.Symbols
)
