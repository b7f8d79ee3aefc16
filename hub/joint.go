package hub

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A joint is the batch of quotes built last, in one framing. What a client is sent depends only on
// its marks, so it serves every client with the same marks until a topic changes: all that are up
// to date, all that fell behind together, and all that have just subscribed.
type joint struct {
	generation uint64 // of the shard; 0: it serves nobody
	wants      []want // in the order of the indexes
	after      []mark // the marks of a client that has it

	frames    []byte
	quotes    int
	skipped   uint64
	positions []Reached
	sent      []sent
	served    int // clients that were sent it since the clock was last read
}

// A want is what a client waits for.
type want struct {
	sub  *subscription // of the client for which the joint was built
	view *view
	mark mark
}

// sent is an update whose latency is observed.
type sent struct {
	tick *tick
	due  time.Duration
}

// single returns the tick for a client that waits for nothing but the next tick of one topic, as
// an update that all clients share; otherwise nil.
func (s *shard) single(c *Client) *tick {
	if len(s.indexes) > 1 {
		return nil
	}
	i := s.indexes[0]
	sub, m := c.audience.subs[i], &c.marks[i]
	due := sub.due(m)
	if len(due) != 1 || m.stage != live || !m.precedes(due[0]) || sub.topic.status.status != protocol.StatusLive {
		return nil
	}
	t := due[0]
	if s.binary != nil {
		sub.keepSent(t)
	}
	m.at(t)
	c.pending.remove(i)
	s.observe(t, sub.allowed(), 1)
	if c.positions {
		s.positions = append(s.positions, Reached{0, sub.topic.name, protocol.Position{Epoch: *t.epoch, Seq: t.seq}})
	}
	return t
}

// share returns the frames for a client that waits for nothing but quotes, and builds them unless
// the last client's serve it too.
func (s *shard) share(c *Client) (frames []byte, quotes int) {
	j := &s.joints[c.framing]
	if j.generation != s.generation || !j.serves(c, s.indexes) {
		return s.build(j, c)
	}
	for n, i := range s.indexes {
		c.marks[i] = j.after[n]
		c.pending.remove(i)
	}
	j.served++
	c.skipped += j.skipped
	s.positions = append(s.positions, j.positions...)
	return j.frames, j.quotes
}

// serves reports whether the client waits for exactly this.
func (j *joint) serves(c *Client, indexes []int) bool {
	if len(indexes) != len(j.wants) {
		return false
	}
	for n, i := range indexes {
		w, sub := &j.wants[n], c.audience.subs[i]
		if w.mark != c.marks[i] || w.sub != sub && !w.serves(sub) {
			return false
		}
	}
	return true
}

// serves reports whether a client with another subscription and the same mark waits for the same.
func (w *want) serves(sub *subscription) bool {
	return w.sub.topic == sub.topic && w.view == sub.visible(&w.mark) && w.sub.all == sub.all
}

// account records the latencies of the updates in a joint for the clients that were sent it since the
// clock was last read: they are the same for all of them.
func (s *shard) account(j *joint) {
	if j.served > 0 {
		for _, q := range j.sent {
			s.observe(q.tick, q.due, j.served)
		}
		j.served = 0
	}
}

// readClock updates s.wall.
func (s *shard) readClock() {
	for i := range s.joints {
		s.account(&s.joints[i])
	}
	s.wall = time.Now()
}

// build fills j for a client. Ticks of its own queue make it serve this client only.
func (s *shard) build(j *joint, c *Client) (frames []byte, quotes int) {
	s.account(j)
	j.generation = s.generation
	j.wants, j.after = j.wants[:0], j.after[:0]
	own := c.extras != nil && len(c.extras.missed) > 0
	for _, i := range s.indexes {
		sub := c.audience.subs[i]
		j.wants = append(j.wants, want{sub, sub.visible(&c.marks[i]), c.marks[i]})
	}
	skipped := c.skipped
	j.quotes = s.fillQuotes(c)
	for _, i := range s.indexes {
		j.after = append(j.after, c.marks[i])
	}
	if own || s.kept || !c.pending.empty() { // or it did not take everything
		j.generation = 0
	}
	j.skipped = c.skipped - skipped
	j.frames, s.out = s.out, j.frames
	j.positions = append(j.positions[:0], s.positions...)
	j.sent = append(j.sent[:0], s.sent...)
	return j.frames, j.quotes
}
