package hub

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Final notices that may wait for a client: so many, or finalsEach for each of its series if that is
// more. Candles of many topics close at one moment.
const (
	minFinals  = 1024
	finalsEach = 4
)

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
