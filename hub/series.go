package hub

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/fxcast/fxcast/protocol"
)

// daySeries is the series of day figures; the others are named by the interval of their candles.
const daySeries = "day"

// A series is a sequence of notices about a topic beside its quotes: its candles of one interval, or
// its day figures. It is wanted while it has watchers. It has one shardSeries per shard.
type series struct {
	name      string
	inShard   []*shardSeries // by index of the shard
	listeners atomic.Int32   // shards with watchers
}

// A notice is one message of a series. It is immutable and shared by all clients.
type notice struct {
	text   []byte
	framed [maxFramings]atomic.Pointer[[]byte] // by framing, built on first use
}

// frame returns the notice in framing i.
func (n *notice) frame(framings []Framing, i uint8) []byte {
	if p := n.framed[i].Load(); p != nil {
		return *p
	}
	p := framings[i].AppendMessage(nil, n.text)
	n.framed[i].Store(&p) // two shards may both build it, with the same bytes
	return p
}

// A shardSeries is the state of a series in one shard.
type shardSeries struct {
	// Static after construction.
	series *series
	topic  *shardTopic

	// Guarded by shard.mail.mu.
	newest *notice   // what a new watcher receives; nil: none
	finals []*notice // not delivered yet
	fresh  bool      // newest is not delivered yet
	queued bool      // a task will deliver them

	// Owned by shard.run.
	watchers []*watcher
}

// Candle sends a candle to the clients that subscribed to the candles of its topic and interval. It
// replaces one that waits for a slow client. One that is not open any more is final: it replaces the
// running one too, but nothing replaces it. Calls for one topic and interval must be made one after
// another.
func (h *Hub) Candle(topic, interval string, c protocol.Candle) {
	if r := h.wantedSeries(topic, interval); r != nil {
		r.publish(protocol.CandleUpdate{Symbol: topic, Interval: interval, Data: c}, !c.Open)
	}
}

// Day sends the day figures of a topic to the clients that subscribed to them. They replace those
// that wait for a slow client. Calls for one topic must be made one after another.
func (h *Hub) Day(topic string, d protocol.Day) {
	if r := h.wantedSeries(topic, daySeries); r != nil {
		r.publish(protocol.DayUpdate{Symbol: topic, Day: d}, false)
	}
}

// DropCandles forgets the running candles and day figures of a topic: clients that subscribe afterwards
// receive none before the next ones.
func (h *Hub) DropCandles(topic string) {
	h.mu.RLock()
	t := h.topics[topic]
	var all []*series
	if t != nil {
		all = slices.Collect(maps.Values(t.series))
	}
	h.mu.RUnlock()
	for _, r := range all {
		for _, p := range r.inShard {
			p.drop()
		}
	}
}

// WantsCandles reports whether any client is subscribed to the candles of a topic and interval.
func (h *Hub) WantsCandles(topic, interval string) bool {
	return h.wantedSeries(topic, interval) != nil
}

// WantsDay reports whether any client is subscribed to the day figures of a topic.
func (h *Hub) WantsDay(topic string) bool { return h.wantedSeries(topic, daySeries) != nil }

func (h *Hub) wantedSeries(topic, name string) *series {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if t := h.topics[topic]; t != nil {
		if r := t.series[name]; r != nil && r.listeners.Load() > 0 {
			return r
		}
	}
	return nil
}

// series returns a series of a topic, and makes it if it is new.
func (h *Hub) series(p *shardTopic, name string) *series {
	t := p.topic
	h.mu.RLock()
	r := t.series[name]
	h.mu.RUnlock()
	if r != nil {
		return r
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r = t.series[name]; r == nil {
		r = &series{name: name}
		for _, q := range t.inShard {
			r.inShard = append(r.inShard, &shardSeries{series: r, topic: q})
		}
		if t.series == nil {
			t.series = make(map[string]*series)
		}
		t.series[name] = r
	}
	return r
}

func (r *series) publish(m protocol.Message, final bool) {
	n := &notice{text: m.Append(nil)}
	for _, p := range r.inShard {
		p.post(n, final)
	}
	r.forget() // the last watcher may have left meanwhile
}

// forget forgets the newest notice of a series if nobody watches it, since it gets old. With the
// mailbox locked no notice is lost of which a new watcher is the reason.
func (r *series) forget() {
	if r.listeners.Load() > 0 {
		return
	}
	for _, p := range r.inShard {
		s := p.topic.shard
		s.mail.mu.Lock()
		if r.listeners.Load() == 0 {
			p.newest, p.fresh, p.finals = nil, false, nil
		}
		s.mail.mu.Unlock()
	}
}

// drop forgets the newest notice.
func (p *shardSeries) drop() {
	s := p.topic.shard
	s.mail.mu.Lock()
	defer s.mail.mu.Unlock()
	p.newest, p.fresh = nil, false
}

// post queues a notice for a shard. At most one final notice a minute comes from a series, so few
// wait even for a shard that is far behind.
func (p *shardSeries) post(n *notice, final bool) {
	s := p.topic.shard
	s.mail.mu.Lock()
	if p.fresh {
		s.stats.noticesReplaced.Add(1)
	}
	if p.newest, p.fresh = n, true; final {
		p.newest, p.fresh = nil, false
		p.finals = append(p.finals, n)
	}
	if p.queued {
		s.mail.mu.Unlock()
		return
	}
	p.queued = true
	s.mail.tasks = append(s.mail.tasks, func() { s.deliver(p) })
	s.post()
}
