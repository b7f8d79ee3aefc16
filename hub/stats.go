package hub

import (
	"context"
	"time"
)

// ClientStats are the numbers of one client.
type ClientStats struct {
	Subscriptions int           // topics, wildcards expanded
	All           int           // of these, with every tick
	Skipped       uint64        // quotes that its messages reported as skipped, since it joined
	Pending       int           // quotes that wait for it
	Bytes         int           // that wait in its connection
	Stalled       time.Duration // since the connection last took any of them; 0 when nothing waits
}

// Stats asks the shard. ok is false when the client has gone, or the context ended.
func (c *Client) Stats(ctx context.Context) (stats ClientStats, ok bool) {
	s := c.shard
	answer := make(chan ClientStats, 1)
	s.do(func() {
		if c.gone {
			close(answer)
			return
		}
		st := ClientStats{Subscriptions: len(c.subs), Skipped: c.skipped, Pending: int(c.backlogged)}
		for _, sub := range c.subs {
			if sub.backlog != nil {
				st.All++
			}
		}
		for _, sub := range c.pending {
			if sub.pending != nil {
				st.Pending++
			}
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
