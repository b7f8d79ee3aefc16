package node

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redislink"
)

// TestReadyAgreesWithTheJudge: a node that sends its clients degraded is not ready.
func TestReadyAgreesWithTheJudge(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	n := &Node{redis: redislink.NewHealth(), receiver: receive.NewReceiver(receive.ReceiverConfig{Redis: rdb}),
		inbox: accept.NewInbox(accept.InboxConfig{Redis: rdb})}
	quotes, sessions := n.redis.Signal(quotesSignal), n.redis.Signal("sessions")
	for _, tc := range []struct {
		quotes, sessions bool
		detail           string
	}{{false, false, ""}, {true, false, "lost to quotes"}, {true, true, "lost to quotes and sessions"}, {false, true, "lost to sessions"}, {false, false, ""}} {
		quotes.Set(tc.quotes)
		sessions.Set(tc.sessions)
		if c := n.ready()[0]; c.Name != "redis" || c.OK == n.redis.Lost() || c.Detail != tc.detail {
			t.Errorf("quotes lost %v, sessions lost %v: %+v", tc.quotes, tc.sessions, c)
		}
	}
}

// TestReadyNamesNoHost: anyone may read /readyz, so it does not show the names of nodes.
func TestReadyNamesNoHost(t *testing.T) {
	t.Parallel()
	n := &Node{name: "host-1"}
	for leader, want := range map[string]string{
		"": "no node reads the inbox", "host-1": "this node reads the inbox", "host-2": "another node reads the inbox",
	} {
		if got := n.inboxDetail(leader); got != want {
			t.Errorf("led by %q: %q, want %q", leader, got, want)
		}
	}
}
