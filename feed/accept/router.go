package accept

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// clusterLanes is how many lanes quotes have in a cluster. Beyond so many masters, counting those
// that were replaced, some share a lane.
const clusterLanes = 16

// router assigns each symbol of a cluster to a lane by the master that owns its slot, so that a
// master which does not answer holds up its own symbols only. A symbol keeps its lane while quotes
// of it wait there: they stay in order although the slot moves. A nil router has one lane. It is
// safe for concurrent use.
type router struct {
	topology redislink.Topology
	keys     feed.Keys

	mu       sync.Mutex // guards the following fields
	byMaster map[string]int
	symbols  map[feed.Symbol]routed
	unknown  time.Time // when the slots were last not known
}

// lookAgain is how long a router asks for no master after the slots were not known: each look may
// take long.
const lookAgain = time.Second

// routed is where the quotes of a symbol wait, and how many.
type routed struct{ lane, quotes int }

// newRouter returns the router for the masters of rdb, nil if there is only one.
func newRouter(rdb redis.UniversalClient, keys feed.Keys) *router {
	t := redislink.TopologyOf(rdb)
	if t.Kind() != redislink.Cluster {
		return nil
	}
	return &router{topology: t, keys: keys, byMaster: map[string]int{}, symbols: map[feed.Symbol]routed{}}
}

// lanes returns how many lanes there are.
func (r *router) lanes() int {
	if r == nil {
		return 1
	}
	return clusterLanes
}

// enter returns the lane of a quote. The caller must call leave when the quote no longer waits.
func (r *router) enter(ctx context.Context, s feed.Symbol) int {
	if r == nil {
		return 0
	}
	if n, ok := r.join(s); ok {
		return n
	}
	addr := r.masterOf(ctx, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.symbols[s]
	if !ok {
		n, ok := r.byMaster[addr]
		if !ok {
			n = len(r.byMaster) % clusterLanes
			r.byMaster[addr] = n
		}
		at.lane = n
	}
	at.quotes++
	r.symbols[s] = at
	return at.lane
}

// masterOf returns the address of the master of s; "" if it is not known.
func (r *router) masterOf(ctx context.Context, s feed.Symbol) string {
	r.mu.Lock()
	skip := time.Since(r.unknown) < lookAgain
	r.mu.Unlock()
	if skip {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	master, err := r.topology.MasterOf(ctx, r.keys.Seq(s))
	if err != nil {
		r.mu.Lock()
		r.unknown = time.Now()
		r.mu.Unlock()
		return ""
	}
	return master.Options().Addr
}

// join returns the lane in which quotes of s wait already.
func (r *router) join(s feed.Symbol) (lane int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.symbols[s]
	if ok {
		at.quotes++
		r.symbols[s] = at
	}
	return at.lane, ok
}

// reset forgets all quotes. None may wait any more.
func (r *router) reset() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.symbols)
}

// leave notes that quotes no longer wait.
func (r *router) leave(quotes []feed.Quote) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range quotes {
		at := r.symbols[q.Symbol]
		if at.quotes--; at.quotes > 0 {
			r.symbols[q.Symbol] = at
		} else {
			delete(r.symbols, q.Symbol)
		}
	}
}
