package e2e

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestRelayedChannelWithoutRule: a node whose user may not subscribe to one of
// FEED_CHANNELS is not ready, and its log names what it asked for.
func TestRelayedChannelWithoutRule(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
	defer rdb.Close()
	args := []any{"ACL", "SETUSER", "ann", "on", ">s3cret"}
	for rule := range strings.FieldsSeq(strings.Replace(rights, "&news", "&alerts", 1)) {
		args = append(args, rule)
	}
	if err := rdb.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	n := launchProcess(t, "REDIS_URL=redis://ann:s3cret@"+server.Addr(), "FEED_CHANNELS=alerts,news")
	programtest.Eventually(t, "the log names the channels", func() bool {
		return n.stderr.Find(`connection for quotes lost.*(relayed="\[alerts news\]" err="NOPERM)`) != ""
	})
	if status := n.readyStatus(); status != 503 {
		t.Errorf("readyz: %d", status)
	}
}
