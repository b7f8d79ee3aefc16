package node

import (
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/web"
)

// quotesSignal is the name of the signal that the receiver of quotes sets.
const quotesSignal = "quotes"

// ready returns the checks of /readyz. redislink.Health judges from probes in the background whether
// Redis is lost: then, and only then, redis is red and clients are sent degraded. quotes is one of
// its causes. A missing leader of the inbox makes the node red, but Redis is not lost.
func (n *Node) ready() []web.Check {
	causes := n.redis.Causes()
	leader := n.inbox.Leader()
	return []web.Check{
		{Name: "redis", OK: !n.redis.Lost(), Detail: lostDetail(causes)},
		{Name: "quotes", OK: !slices.Contains(causes, quotesSignal), Detail: probeDetail(n.receiver.ProbeAge())},
		{Name: "inbox", OK: leader != "", Detail: n.inboxDetail(leader)},
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
func (n *Node) inboxDetail(leader string) string {
	switch leader {
	case "":
		return "no node reads the inbox"
	case n.name:
		return "this node reads the inbox"
	}
	return "another node reads the inbox"
}
