package session_test

import (
	"context"
	"flag"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests here wait for a moment to come, so more of them than there are processors go at a time.
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		_ = flag.Set("test.parallel", "12")
	}
	redis.SetLogger(silent{}) // refused connections are part of the tests
	goleak.VerifyTestMain(m)
}
