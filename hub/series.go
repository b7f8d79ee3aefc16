package hub

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Final notices that may wait for a client: so many, or finalsEach for each of its series if that is
// more. Candles of many topics close at one moment.
const (
	minFinals  = 1024
	finalsEach = 4
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

// A watcher is a series for one client. A client that is slow gets the newest notice only, and all
// that are final.
type watcher struct {
	client *Client
	series *shardSeries
	grants int     // of the client's watches, those that match
	newest *notice // waits to be written; nil: none
	place  int     // in series.watchers
	turn   int     // in watching.due, if newest waits
}

// A watch is one pattern of a client for a series.
type watch struct{ series, pattern string }

// watching holds what a client needs for its series.
type watching struct {
	watches  []watch
	watchers map[*shardSeries]*watcher
	due      []*watcher    // those with a newest notice
	from     time.Duration // due is not written before; see Client.interval
	finals   []finalNotice
}

// A finalNotice waits to be written.
type finalNotice struct {
	*notice
	series *shardSeries
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

// deliver passes what was published of a series to its watchers.
func (s *shard) deliver(p *shardSeries) {
	s.mail.mu.Lock()
	finals, newest := p.finals, p.newest
	if !p.fresh {
		newest = nil
	}
	p.finals, p.fresh, p.queued = nil, false, false
	s.mail.mu.Unlock()
	var slow []*Client // closing a client changes the watchers
	for _, w := range p.watchers {
		if !w.notify(finals, newest) {
			slow = append(slow, w.client)
		}
	}
	for _, c := range slow {
		s.end(c, protocol.CloseSlow)
	}
}

// notify makes notices due for a watcher. It returns false if too many final ones wait.
func (w *watcher) notify(finals []*notice, newest *notice) bool {
	c := w.client
	g := c.extras.watching
	if w.newest != nil && (newest != nil || len(finals) > 0) {
		c.shard.stats.noticesReplaced.Add(1)
	}
	switch {
	case newest == nil && len(finals) > 0:
		g.drop(w)
	case newest != nil && w.newest == nil:
		w.turn = len(g.due)
		g.due = append(g.due, w)
		fallthrough
	case newest != nil:
		w.newest = newest
	}
	for _, n := range finals {
		g.finals = append(g.finals, finalNotice{n, w.series})
	}
	if c.hasNotices() {
		c.shard.wantWrite(c)
	}
	return len(g.finals) <= max(minFinals, finalsEach*len(g.watchers))
}

// drop drops the newest notice of a watcher, if one waits.
func (g *watching) drop(w *watcher) {
	if w.newest == nil {
		return
	}
	last := len(g.due) - 1
	g.due[w.turn] = g.due[last]
	g.due[w.turn].turn = w.turn
	g.due[last] = nil
	g.due, w.newest = g.due[:last], nil
}

// hasNotices reports whether any notice may be written.
func (c *Client) hasNotices() bool {
	g := c.extras.watching
	return g != nil && (len(g.finals) > 0 || len(g.due) > 0 && (c.interval == 0 || c.shard.now() >= g.from))
}

// dropFinals drops the final notices of series that the client does not watch any more.
func (g *watching) dropFinals() {
	g.finals = slices.DeleteFunc(g.finals, func(n finalNotice) bool { return g.watchers[n.series] == nil })
}

// WatchCandles adds patterns of topics whose candles of an interval the client receives from now on,
// and answers with ack. Then the running candle of each topic comes, if there is one.
func (c *Client) WatchCandles(interval string, patterns []string, ack []byte) {
	c.watch(interval, patterns, ack)
}

// UnwatchCandles removes exactly these patterns with their waiting candles, and answers with ack.
func (c *Client) UnwatchCandles(interval string, patterns []string, ack []byte) {
	c.unwatch(interval, patterns, ack)
}

// WatchDay is WatchCandles for day figures.
func (c *Client) WatchDay(patterns []string, ack []byte) { c.watch(daySeries, patterns, ack) }

// UnwatchDay is UnwatchCandles for day figures.
func (c *Client) UnwatchDay(patterns []string, ack []byte) { c.unwatch(daySeries, patterns, ack) }

func (c *Client) watch(name string, patterns []string, ack []byte) {
	for _, p := range patterns {
		if !IsWildcard(p) {
			c.shard.hub.topic(p) // so that the shard knows it before the command runs
		}
	}
	c.command(ack, func(s *shard) {
		x := c.extra()
		if x.watching == nil {
			x.watching = &watching{watchers: make(map[*shardSeries]*watcher)}
		}
		for _, pattern := range patterns {
			w := watch{name, pattern}
			known := slices.Contains(x.watching.watches, w)
			if !known {
				x.watching.watches = append(x.watching.watches, w)
				if IsWildcard(pattern) {
					s.wildWatches[pattern] = append(s.wildWatches[pattern], clientWatch{c, w})
				}
			}
			for _, p := range s.matching(pattern) {
				if s.addWatcher(c, p, name, known); c.gone {
					return
				}
			}
		}
	})
}

func (c *Client) unwatch(name string, patterns []string, ack []byte) {
	c.command(ack, func(s *shard) {
		if c.extras == nil || c.extras.watching == nil {
			return
		}
		for _, pattern := range patterns {
			s.dropWatch(c, watch{name, pattern})
		}
		c.extras.watching.dropFinals()
		if len(c.extras.watching.watches) == 0 {
			c.extras.watching = nil
		}
	})
}

// A clientWatch is a watch with a wildcard.
type clientWatch struct {
	client *Client
	watch
}

// addWatcher lets a client watch a series of a topic. known means that it does so already because of
// the same watch.
func (s *shard) addWatcher(c *Client, p *shardTopic, name string, known bool) {
	r := s.hub.series(p, name)
	q := r.inShard[s.index]
	if s.deliver(q); c.gone { // it was too slow
		return
	}
	g := c.extras.watching
	w := g.watchers[q]
	if w == nil {
		w = &watcher{client: c, series: q, place: len(q.watchers)}
		q.watchers, g.watchers[q] = append(q.watchers, w), w
		if w.place == 0 {
			s.listen(p)
			if r.listeners.Add(1) == 1 && s.hub.cfg.Interest != nil {
				s.hub.cfg.Interest(p.name)
			}
		}
	}
	if !known {
		w.grants++
	}
	s.mail.mu.Lock()
	newest := q.newest
	s.mail.mu.Unlock()
	if c.interval > 0 && newest != nil { // a snapshot does not wait, nor does the next notice come sooner
		g.finals = append(g.finals, finalNotice{newest, q})
		newest = nil
	}
	w.notify(nil, newest)
}

// dropWatch undoes one watch of a client.
func (s *shard) dropWatch(c *Client, w watch) {
	g := c.extras.watching
	i := slices.Index(g.watches, w)
	if i < 0 {
		return
	}
	g.watches = slices.Delete(g.watches, i, i+1)
	if IsWildcard(w.pattern) {
		s.wildWatches[w.pattern] = without(s.wildWatches[w.pattern], clientWatch{c, w})
	}
	for _, p := range s.matching(w.pattern) {
		s.releaseWatcher(c, p, w.series)
	}
}

// releaseWatcher undoes one addWatcher.
func (s *shard) releaseWatcher(c *Client, p *shardTopic, name string) {
	w := c.extras.watching.watchers[s.hub.series(p, name).inShard[s.index]]
	if w == nil {
		return
	}
	if w.grants--; w.grants == 0 {
		s.endWatcher(w)
	}
}

// endWatcher ends a watcher and drops its newest notice. The caller drops those that are final.
func (s *shard) endWatcher(w *watcher) {
	g, q := w.client.extras.watching, w.series
	delete(g.watchers, q)
	g.drop(w)
	last := len(q.watchers) - 1
	q.watchers[w.place] = q.watchers[last]
	q.watchers[w.place].place = w.place
	q.watchers[last] = nil
	q.watchers = q.watchers[:last]
	if last > 0 {
		return
	}
	if q.series.listeners.Add(-1) == 0 {
		q.series.forget()
		if s.hub.cfg.Interest != nil {
			s.hub.cfg.Interest(q.topic.name)
		}
	}
	s.ignore(q.topic)
}

// endWatches ends all watches of a client that leaves.
func (s *shard) endWatches(c *Client) {
	if c.extras == nil || c.extras.watching == nil {
		return
	}
	g := c.extras.watching
	for _, w := range g.watches {
		if IsWildcard(w.pattern) {
			s.wildWatches[w.pattern] = without(s.wildWatches[w.pattern], clientWatch{c, w})
		}
	}
	g.finals = nil
	for _, w := range g.watchers {
		s.endWatcher(w)
	}
}

// watchNew lets the watches with wildcards match a topic.
func (s *shard) watchNew(p *shardTopic) {
	families := p.families()
	for _, family := range append(families[:], "*") {
		for _, w := range slices.Clone(s.wildWatches[family]) { // a client that is too slow is closed
			if !w.client.gone {
				s.addWatcher(w.client, p, w.series, false)
			}
		}
	}
}

// unwatchOld undoes watchNew.
func (s *shard) unwatchOld(p *shardTopic) {
	families := p.families()
	for _, family := range append(families[:], "*") {
		for _, w := range s.wildWatches[family] {
			s.releaseWatcher(w.client, p, w.series)
			w.client.extras.watching.dropFinals()
		}
	}
}

// fillNotices appends the notices of a client's series: first those that are final.
func (s *shard) fillNotices(c *Client) {
	g := c.extras.watching
	framings := s.hub.cfg.Framings
	for _, n := range g.finals {
		s.out = append(s.out, n.frame(framings, s.framing)...)
	}
	clear(g.finals)
	g.finals = g.finals[:0]
	if c.interval > 0 && len(g.due) > 0 {
		now := s.now()
		if now < g.from {
			return
		}
		g.from = now + c.interval
	}
	for _, w := range g.due {
		s.out = append(s.out, w.newest.frame(framings, s.framing)...)
		w.newest = nil
	}
	clear(g.due)
	g.due = g.due[:0]
}
