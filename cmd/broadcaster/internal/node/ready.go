package node

import (
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/web"
)

// readyAge is the greatest age of the newest test message in a ready node.
const readyAge = 3 * time.Second

// ready returns the checks of /readyz, with the findings of background probes. redislink.Health
// decides both whether clients are sent degraded and the check redis. A probe of the quotes that
// does not come back in time sets it too, so that the check quotes differs only before the first.
func (n *Node) ready() []web.Check {
	lost := n.redis.Causes()
	quotes := n.receiver.ProbeAge()
	inbox := n.inbox.State()
	return []web.Check{
		{Name: "redis", OK: len(lost) == 0, Detail: lostDetail(lost)},
		{Name: "quotes", OK: quotes <= readyAge, Detail: probeDetail(quotes)},
		{Name: "inbox", OK: inbox.Leader != "" && inbox.ProbeAge <= readyAge, Detail: n.inboxDetail(inbox)},
	}
}

func lostDetail(causes []string) string {
	if len(causes) == 0 {
		return ""
	}
	return "lost to " + strings.Join(causes, " and ")
}

func probeDetail(age time.Duration) string {
	if age > time.Hour {
		return "no test message has come back through Redis"
	}
	return "the newest test message that came back through Redis is " + age.Round(time.Millisecond).String() + " old"
}

// inboxDetail leaves out the name of the node, which contains that of its host: anyone may read it.
func (n *Node) inboxDetail(s accept.InboxState) string {
	switch s.Leader {
	case "":
		return "no node reads the inbox"
	case n.name:
		return "this node reads the inbox"
	}
	return "another node reads the inbox"
}
