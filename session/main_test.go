package session_test

import (
	"flag"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests here wait for a moment to come, so more of them than there are processors go at a time.
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		_ = flag.Set("test.parallel", "12")
	}
	redistest.Silence() // refused connections are part of the tests
	// go-redis goes on dialing for a second after a client is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
