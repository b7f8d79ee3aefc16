package redistest

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long Eventually waits: far longer than what it waits for takes, even on a
// machine that is busy with something else.
const patience = time.Minute

// Eventually polls ok until it returns true, and ends the test after a minute without. what names the
// event in the failure.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// OnBoth runs test with a real server and, at the same time, with the embedded one.
func OnBoth(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t).Client())
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		client, _ := Embedded(t)
		test(t, client)
	})
}

// Silence discards the log of go-redis, for tests in which connections are refused and break.
func Silence() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
