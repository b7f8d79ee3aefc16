package hub

import (
	"context"
	"time"
)

// ClientStats describes the state of one client.
type ClientStats struct {
	Subscriptions int           // topics, wildcards expanded
	All           int           // of these, subscriptions to every tick
	Skipped       uint64        // quotes reported to it as skipped since it joined
	Pending       int           // quotes waiting for it in the hub
	Bytes         int           // bytes waiting in its connection
	Stalled       time.Duration // for how long none of these bytes could be written; 0 if none wait
}

// Stats returns the client's state as its shard sees it. It waits for the shard until ctx ends. ok
// is false if the client has left, ctx has ended or the hub has stopped.
func (c *Client) Stats(ctx context.Context) (stats ClientStats, ok bool) {
	s := c.shard
	answer := make(chan ClientStats, 1)
	s.do(func() {
		if c.gone {
			close(answer)
			return
		}
		st := ClientStats{Subscriptions: len(c.marks), Skipped: c.skipped}
		for _, sub := range c.audience.subs {
			if sub.all {
				st.All++
			}
			if q := c.missed(sub.topic); q != nil {
				st.Pending += len(q.ticks)
			}
			st.Pending += len(sub.due(c.needs(sub)))
		}
		st.Bytes, st.Stalled = c.conn.Backlog()
		answer <- st
	})
	select {
	case stats, ok = <-answer:
	case <-ctx.Done():
	case <-s.hub.done:
	}
	return stats, ok
}
