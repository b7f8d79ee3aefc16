package receive

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/conn"

	"github.com/redis/go-redis/v9"
)

// connection is one Pub/Sub connection that receives quotes, with its probe. It is
// opened again whenever it fails or brings nothing, not even a probe, for 3 s.
// The node has one; in a cluster it has one besides for each symbol, since
// sharded channels live on the node that owns their slot.
type connection struct {
	r       *Receiver
	probe   *conn.Probe
	sharded bool
	relays  []string // further channels, confirmed with the probe's

	heard  atomic.Int64 // when the last message came, on the probe's clock
	synced atomic.Bool  // subscribed, and the last values were read since

	wake chan struct{} // holds a token when wanted changed

	mu     sync.Mutex // guards wanted
	wanted map[feed.Symbol]bool

	// Owned by the goroutine that tends the session; sessions follow one another.
	followed map[feed.Symbol]bool // what the board may follow through this connection
}

func newConnection(r *Receiver, channel string, sharded bool, relays []string) *connection {
	c := &connection{
		r: r, sharded: sharded, relays: relays,
		probe: conn.NewProbe(r.probes, channel, sharded), wake: make(chan struct{}, 1),
		wanted: map[feed.Symbol]bool{}, followed: map[feed.Symbol]bool{},
	}
	c.hear()
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

// silent returns for how long nothing has come.
func (c *connection) silent() time.Duration {
	return time.Since(c.probe.Base) - time.Duration(c.heard.Load())
}

func (c *connection) hear() { c.heard.Store(int64(time.Since(c.probe.Base))) }

// run receives until ctx ends.
//
//	run          opens the connection again and again
//	* session    one subscription; read and dispatch      (run's goroutine)
//	* tend       subscribes, reads last values            (1 goroutine per session)
//	* probe.run  publishes test messages                  (1 goroutine)
func (c *connection) run(ctx context.Context) {
	var probing sync.WaitGroup
	defer probing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	probing.Go(func() { c.probe.Run(ctx) })
	for pause := time.Duration(0); ; {
		confirmed, err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		c.r.metrics.lost.Inc()
		if confirmed || pause == 0 {
			c.r.log.Warn("connection for quotes lost, opening it again", "channel", c.probe.Channel, "relayed", c.relays, "err", err)
			pause = 25 * time.Millisecond
		}
		if cluster, ok := c.r.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx) // the slot may have moved; does not wait
		}
		if !conn.Sleep(ctx, pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, time.Second)
	}
}

// end lets go of the symbols of a connection that is not needed any more. Call it
// after run.
func (c *connection) end() {
	for s := range c.followed {
		c.r.cfg.Board.leave(s)
	}
}
