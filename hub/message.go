package hub

import "github.com/fxcast/fxcast/protocol"

// message returns the status message for subscribers of a topic.
func (c *statusChange) message(topic string) protocol.Status {
	return protocol.Status{Symbol: topic, Status: c.status, Source: c.source, Since: protocol.At(c.since)}
}

// linkStatus returns the status message about the source of quotes.
func linkStatus(degraded bool) protocol.Status {
	if degraded {
		return protocol.Status{Status: protocol.StatusDegraded}
	}
	return protocol.Status{Status: protocol.StatusOK}
}
