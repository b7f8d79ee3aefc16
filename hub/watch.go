package hub

import "slices"

// A watch is one pattern of a client for a series.
type watch struct{ series, pattern string }

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
