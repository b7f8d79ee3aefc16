package receive

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// maxBatch is how many symbols are subscribed to, or read, in one round trip.
const maxBatch = 256

// connection receives the ticks of some symbols by one listener, which opens it
// again whenever it fails. A node has one; in a cluster it has another one for each
// symbol, since a sharded channel lives on the server that has its slot.
//
//	listener.Run   reads and dispatches                  (1 goroutine)
//	* receive      one message: tick or relay
//	* tend         subscribes and reads last values       (1 goroutine each time it is opened)
type connection struct {
	r        *Receiver
	listener *redislink.Listener
	made     time.Time
	synced   atomic.Bool   // all that is wanted is subscribed to, and its last values were read since
	wake     chan struct{} // holds a token when wanted changed

	mu     sync.Mutex // guards wanted
	wanted map[feed.Symbol]bool

	// Owned by tend, which runs once at a time.
	followed map[feed.Symbol]bool // what the board may follow through this connection
}

// newConnection returns one whose test messages go by channel probe. It also
// receives the channels that are relayed.
func newConnection(r *Receiver, probe string, sharded bool, relays []string) *connection {
	c := &connection{
		r: r, made: time.Now(), wake: make(chan struct{}, 1),
		wanted: map[feed.Symbol]bool{}, followed: map[feed.Symbol]bool{},
	}
	c.listener = redislink.NewListener(redislink.ListenerConfig{
		Name: "quotes", Client: r.client, Channels: relays, Sharded: sharded,
		Probe: probe, Prober: redislink.Prober(r.cfg.Redis, r.client),
		Message: r.receive, Confirmed: c.confirmed, Opened: c.opened, Lost: func(error) { r.metrics.lost.Inc() },
		Logger: r.log.With("relayed", relays), // an error of missing rights names no channel
	})
	return c
}

// want changes which symbols the connection is to follow.
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

// changes returns what is wanted and not in have, and what is followed and no
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

// confirmed opens the symbol of a channel: what comes on it from now on is offered.
func (c *connection) confirmed(channel string) {
	if s, ok := c.r.cfg.Keys.SymbolOf(channel); ok {
		c.r.cfg.Board.open(s)
	}
}

func (c *connection) opened(lc *redislink.Conn) error {
	lc.Go(func(ctx context.Context) error { return c.tend(ctx, lc) })
	return nil
}

// tend makes what is subscribed to what is wanted, until ctx ends.
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

// drop gives up symbols that are not wanted any more.
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

// add subscribes to symbols and reads their last values. A mark is published then:
// when it comes back, every tick published before the values were read has been
// received, and the values are merged. Without symbols it only shows that messages
// come through.
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
			c.r.log.Warn("last values not read, trying on", "err", err)
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

// end leaves the symbols of a connection that is not needed any more. Call it when
// the listener has ended.
func (c *connection) end() {
	for s := range c.followed {
		c.r.cfg.Board.leave(s)
	}
}
