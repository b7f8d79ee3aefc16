package node

import (
	"time"

	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/web"
)

// readyAge is how old the newest test message through Redis may be.
const readyAge = 3 * time.Second

// ready is what /readyz looks at: what background probes found.
func (n *Node) ready() []web.Check {
	quotes := n.receiver.ProbeAge()
	inbox := n.inbox.State()
	return []web.Check{
		{Name: "quotes", OK: quotes <= readyAge, Detail: probeDetail(quotes)},
		{Name: "inbox", OK: inbox.Holder != "" && inbox.ProbeAge <= readyAge, Detail: inboxDetail(inbox)},
	}
}

func probeDetail(age time.Duration) string {
	if age > time.Hour {
		return "no test message has come back through Redis"
	}
	return "the newest test message that came back through Redis is " + age.Round(time.Millisecond).String() + " old"
}

func inboxDetail(s accept.InboxState) string {
	if s.Holder == "" {
		return "no node takes in messages of the inbox"
	}
	return "held by " + s.Holder
}
