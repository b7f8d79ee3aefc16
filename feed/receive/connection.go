package receive

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

// maxBatch is how many symbols one round trip subscribes to or reads.
const maxBatch = 256

// connection receives the ticks of some symbols through one listener, which reconnects whenever its
// connection fails. A node has one connection. In a cluster it has another one to each master, for
// the symbols whose slots that master owns: a sharded channel lives there only.
//
//	listener.Run   reads and dispatches messages
//	* receive      handles one message: tick or relay
//	* tend         subscribes and reads last values (1 goroutine per time the listener opens)
type connection struct {
	r        *Receiver
	listener *redislink.Listener
	made     time.Time
	synced   atomic.Bool   // every wanted symbol is subscribed to, and its last value was read since
	open     atomic.Bool   // the listener is connected
	wake     chan struct{} // holds a token after wanted changed

	mu       sync.Mutex // guards the following fields
	wanted   map[feed.Symbol]bool
	followed map[feed.Symbol]bool         // symbols that the board may follow through this connection
	states   map[feed.Symbol]subscription // since the listener connected
	gone     bool                         // the listener has ended
}

// subscription is the state of a symbol on a connection.
type subscription uint8

const (
	unasked    subscription = iota // not subscribed to
	asked                          // Redis has not confirmed it yet
	subscribed                     // its ticks come through this connection
	elsewhere                      // the server does not serve its slot
)

// newConnection returns a connection of client that sends its probes through channel probe. It also
// receives the relayed channels.
func newConnection(r *Receiver, client redis.UniversalClient, probe string, sharded bool, relays []string) *connection {
	c := &connection{
		r: r, made: time.Now(), wake: make(chan struct{}, 1),
		wanted: map[feed.Symbol]bool{}, followed: map[feed.Symbol]bool{}, states: map[feed.Symbol]subscription{},
	}
	c.listener = redislink.NewListener(redislink.ListenerConfig{
		Name: "quotes", Client: client, Channels: relays, Sharded: sharded,
		Probe: probe, Prober: redislink.Prober(r.cfg.Redis, client),
		Message: r.receive, Confirmed: c.confirmed, Moved: c.moved, Opened: c.opened, Lost: c.lostConn,
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

// want adds s to the symbols that the connection should follow, or removes it. A symbol that was
// elsewhere is asked for again.
func (c *connection) want(s feed.Symbol, wanted bool) {
	c.mu.Lock()
	if wanted {
		c.wanted[s] = true
	} else {
		delete(c.wanted, s)
	}
	if c.states[s] == elsewhere {
		delete(c.states, s)
	}
	leave := c.gone && c.followed[s] && !wanted
	c.mu.Unlock()
	if leave {
		c.r.cfg.Board.leave(s)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// state returns the state of a symbol.
func (c *connection) state(s feed.Symbol) subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[s]
}

// release gives s up for another connection, unless its ticks still come, or may soon, through this
// one. The board goes on to follow s: it reads the ticks from history that are missed meanwhile.
func (c *connection) release(s feed.Symbol) (released bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state := c.states[s]; state == asked || state == subscribed {
		return false
	}
	delete(c.states, s)
	delete(c.wanted, s)
	delete(c.followed, s)
	return true
}

// needed reports whether any symbol is wanted.
func (c *connection) needed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.wanted) > 0
}

// symbols returns the wanted symbols.
func (c *connection) symbols() []feed.Symbol {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.wanted))
}

// changes takes up to maxBatch wanted symbols that are to be subscribed to, and the followed symbols
// that are no longer wanted. channels are those of the latter which are subscribed to.
func (c *connection) changes() (add, drop []feed.Symbol, channels []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.followed {
		if c.wanted[s] {
			continue
		}
		drop = append(drop, s)
		if state := c.states[s]; state == asked || state == subscribed {
			channels = append(channels, c.r.cfg.Keys.Channel(s))
		}
		delete(c.followed, s)
		delete(c.states, s)
	}
	for s := range c.wanted {
		if c.states[s] == unasked && len(add) < maxBatch {
			add = append(add, s)
			c.followed[s], c.states[s] = true, asked
		}
	}
	return add, drop, channels
}

// confirmed opens the symbol of a channel: its messages from now on are offered to the board.
func (c *connection) confirmed(channel string) {
	s, ok := c.r.cfg.Keys.SymbolOf(channel)
	if !ok {
		return
	}
	c.mu.Lock()
	if c.states[s] == asked {
		c.states[s] = subscribed
	}
	c.mu.Unlock()
	c.r.cfg.Board.open(s)
}

// moved notes that the server of this connection does not serve the slot of a channel.
func (c *connection) moved(channel string) {
	s, ok := c.r.cfg.Keys.SymbolOf(channel)
	if !ok {
		return
	}
	c.mu.Lock()
	if c.states[s] != unasked { // else it was dropped
		c.states[s] = elsewhere
	}
	c.mu.Unlock()
	c.r.reconsider(s)
}

// lostConn notes that the listener has lost its connection, and that no tick comes through it.
func (c *connection) lostConn(error) {
	c.r.metrics.lost.Inc()
	c.closed()
}

// closed notes that nothing is subscribed to any more.
func (c *connection) closed() {
	c.open.Store(false)
	c.mu.Lock()
	clear(c.states)
	c.mu.Unlock()
	if c != c.r.main {
		c.r.reconsider(c.symbols()...)
	}
}

func (c *connection) opened(lc *redislink.Conn) error {
	c.open.Store(true)
	lc.Go(func(ctx context.Context) error { return c.tend(ctx, lc) })
	return nil
}

// tend keeps the subscriptions equal to the wanted symbols until ctx ends.
func (c *connection) tend(ctx context.Context, lc *redislink.Conn) error {
	defer c.synced.Store(false)
	for proven := false; ; {
		add, drop, channels := c.changes()
		for _, s := range drop {
			c.r.cfg.Board.leave(s)
		}
		err := lc.Drop(ctx, channels...)
		switch {
		case err != nil:
		case len(add) > 0 || !proven:
			proven = true
			err = c.add(ctx, lc, add)
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

// add subscribes to symbols, reads their last values and then publishes a mark. When the mark comes
// back, every tick published before the read has been received, and the values are merged. Without
// symbols, add only proves that messages come through.
func (c *connection) add(ctx context.Context, lc *redislink.Conn, symbols []feed.Symbol) error {
	channels := make([]string, len(symbols))
	for i, s := range symbols {
		channels[i] = c.r.cfg.Keys.Channel(s)
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
			if c.state(s) == subscribed { // else it has moved since
				c.r.cfg.Board.merge(s, values[s])
			}
		}
	})
}

// end gives up all symbols. Those that are still wanted wait for another connection, and the board
// goes on to follow them. It must be called after the listener has ended.
func (c *connection) end() {
	c.mu.Lock()
	c.gone = true
	var drop []feed.Symbol
	for s := range c.followed {
		if !c.wanted[s] {
			drop = append(drop, s)
		}
	}
	c.mu.Unlock()
	for _, s := range drop {
		c.r.cfg.Board.leave(s)
	}
	c.closed()
}
