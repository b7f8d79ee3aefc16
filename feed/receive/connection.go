package receive

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// maxBatch is how many symbols one round trip subscribes to or reads.
const maxBatch = 256

// connection receives the ticks of some symbols through one listener, which reconnects whenever its
// connection fails. A node has one connection. In a cluster it has another one for each symbol,
// since a sharded channel lives on the server that owns its slot.
//
//	listener.Run   reads and dispatches messages
//	* receive      handles one message: tick or relay
//	* tend         subscribes and reads last values (1 goroutine per time the listener opens)
type connection struct {
	r        *Receiver
	listener *redislink.Listener
	made     time.Time
	synced   atomic.Bool   // every wanted symbol is subscribed to, and its last value was read since
	wake     chan struct{} // holds a token after wanted changed

	mu     sync.Mutex // guards wanted
	wanted map[feed.Symbol]bool

	// Owned by tend, which runs once at a time.
	followed map[feed.Symbol]bool // symbols that the board may follow through this connection
}

// newConnection returns a connection that sends its probes through channel probe. It also receives
// the relayed channels.
func newConnection(r *Receiver, probe string, sharded bool, relays []string) *connection {
	c := &connection{
		r: r, made: time.Now(), wake: make(chan struct{}, 1),
		wanted: map[feed.Symbol]bool{}, followed: map[feed.Symbol]bool{},
	}
	c.listener = redislink.NewListener(redislink.ListenerConfig{
		Name: "quotes", Client: r.client, Channels: relays, Sharded: sharded,
		Probe: probe, Prober: redislink.Prober(r.cfg.Redis, r.client),
		Message: r.receive, Confirmed: c.confirmed, Opened: c.opened, Lost: func(error) { r.metrics.lost.Inc() },
		Logger: r.log.With("relayed", relays), // a permission error does not name the channel
	})
	return c
}

// probeAge returns how long ago the newest probe that came back was sent. Until the first came back
// it is the age of the connection.
func (c *connection) probeAge() time.Duration {
	return min(c.listener.ProbeAge(), time.Since(c.made))
}

// lost reports whether the connection has been silent, or has brought no probe back, for too long.
func (c *connection) lost() bool {
	return c.listener.Silent() >= redislink.DefaultSilence || c.probeAge() >= redislink.DefaultSilence
}

// whole reports whether the connection is proven by a probe, and all its symbols are up to date.
func (c *connection) whole() bool {
	return c.synced.Load() && c.listener.ProbeAge() < redislink.DefaultSilence
}

// want adds s to the symbols that the connection should follow, or removes it.
func (c *connection) want(s feed.Symbol, wanted bool) {
	c.mu.Lock()
	if wanted {
		c.wanted[s] = true
	} else {
		delete(c.wanted, s)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// changes returns the wanted symbols that are not in have, and the followed symbols that are no
// longer wanted.
func (c *connection) changes(have map[feed.Symbol]bool) (add, drop []feed.Symbol) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.wanted {
		if !have[s] {
			add = append(add, s)
		}
	}
	for s := range c.followed {
		if !c.wanted[s] {
			drop = append(drop, s)
		}
	}
	return add, drop
}

// confirmed opens the symbol of a channel: its messages from now on are offered to the board.
func (c *connection) confirmed(channel string) {
	if s, ok := c.r.cfg.Keys.SymbolOf(channel); ok {
		c.r.cfg.Board.open(s)
	}
}

func (c *connection) opened(lc *redislink.Conn) error {
	lc.Go(func(ctx context.Context) error { return c.tend(ctx, lc) })
	return nil
}

// tend keeps the subscriptions equal to the wanted symbols until ctx ends.
func (c *connection) tend(ctx context.Context, lc *redislink.Conn) error {
	defer c.synced.Store(false)
	have := map[feed.Symbol]bool{} // subscribed to on this connection
	for proven := false; ; {
		add, drop := c.changes(have)
		var err error
		switch {
		case len(drop) > 0:
			err = c.drop(ctx, lc, drop, have)
		case len(add) > 0 || !proven:
			proven = true
			err = c.add(ctx, lc, add[:min(len(add), maxBatch)], have)
		default:
			if !c.synced.Swap(true) {
				c.r.metrics.resyncs.Inc()
			}
			select {
			case <-c.wake:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// drop unsubscribes from symbols that are no longer wanted.
func (c *connection) drop(ctx context.Context, lc *redislink.Conn, symbols []feed.Symbol, have map[feed.Symbol]bool) error {
	var channels []string
	for _, s := range symbols {
		c.r.cfg.Board.leave(s)
		delete(c.followed, s)
		if have[s] {
			delete(have, s)
			channels = append(channels, c.r.cfg.Keys.Channel(s))
		}
	}
	return lc.Drop(ctx, channels...)
}

// add subscribes to symbols, reads their last values and then publishes a mark. When the mark comes
// back, every tick published before the read has been received, and the values are merged. Without
// symbols, add only proves that messages come through.
func (c *connection) add(ctx context.Context, lc *redislink.Conn, symbols []feed.Symbol, have map[feed.Symbol]bool) error {
	channels := make([]string, len(symbols))
	for i, s := range symbols {
		channels[i] = c.r.cfg.Keys.Channel(s)
		c.followed[s], have[s] = true, true
	}
	if err := lc.Add(ctx, channels...); err != nil {
		return err
	}
	for logged := false; ; {
		err := c.read(ctx, lc, symbols)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !logged {
			logged = true
			c.r.log.Warn("last values not read; retrying", "err", err)
		}
		if !redislink.Sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// read reads the last values of symbols and merges them.
func (c *connection) read(ctx context.Context, lc *redislink.Conn, symbols []feed.Symbol) error {
	bounded, cancel := context.WithTimeout(ctx, 2*redislink.OpTimeout)
	defer cancel()
	values, bad, err := c.r.lasts.read(bounded, symbols)
	c.r.metrics.bad.Add(float64(bad))
	if err != nil {
		return err
	}
	return lc.Mark(ctx, func() {
		for _, s := range symbols {
			c.r.cfg.Board.merge(s, values[s])
		}
	})
}

// end leaves the symbols of a connection that is no longer needed. It must be called after the
// listener has ended.
func (c *connection) end() {
	for s := range c.followed {
		c.r.cfg.Board.leave(s)
	}
}
