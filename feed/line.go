package feed

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// line is one Pub/Sub connection that receives quotes, with its probe. It is
// opened again whenever it fails or brings nothing, not even a probe, for 3 s.
// The node has one; in a cluster it has one besides for each symbol, since
// sharded channels live on the node that owns their slot.
type line struct {
	r       *Receiver
	probe   *probe
	sharded bool
	relays  []string // further channels, confirmed with the probe's

	heard  atomic.Int64 // when the last message came, on the probe's clock
	synced atomic.Bool  // subscribed, and the last values were read since

	wake chan struct{} // holds a token when wanted changed

	mu     sync.Mutex // guards wanted
	wanted map[Symbol]bool

	// Owned by the goroutine that tends the session; sessions follow one another.
	followed map[Symbol]bool // what the board may follow through this line
}

func newLine(r *Receiver, channel string, sharded bool, relays []string) *line {
	l := &line{
		r: r, sharded: sharded, relays: relays,
		probe: newProbe(r.probes, channel, sharded), wake: make(chan struct{}, 1),
		wanted: map[Symbol]bool{}, followed: map[Symbol]bool{},
	}
	l.hear()
	return l
}

// want changes which symbols the line is to follow.
func (l *line) want(s Symbol, wanted bool) {
	l.mu.Lock()
	if wanted {
		l.wanted[s] = true
	} else {
		delete(l.wanted, s)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// changes returns what is wanted and not in have, and what is followed and no
// longer wanted.
func (l *line) changes(have map[Symbol]bool) (add, drop []Symbol) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.wanted {
		if !have[s] {
			add = append(add, s)
		}
	}
	for s := range l.followed {
		if !l.wanted[s] {
			drop = append(drop, s)
		}
	}
	return add, drop
}

// silent returns for how long nothing has come.
func (l *line) silent() time.Duration {
	return time.Since(l.probe.base) - time.Duration(l.heard.Load())
}

func (l *line) hear() { l.heard.Store(int64(time.Since(l.probe.base))) }

// run receives until ctx ends.
//
//	run          opens the connection again and again
//	* session    one subscription; read and dispatch      (run's goroutine)
//	* tend       subscribes, reads last values            (1 goroutine per session)
//	* probe.run  publishes test messages                  (1 goroutine)
func (l *line) run(ctx context.Context) {
	var probing sync.WaitGroup
	defer probing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	probing.Go(func() { l.probe.run(ctx) })
	for pause := time.Duration(0); ; {
		confirmed, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		l.r.metrics.lost.Inc()
		if confirmed || pause == 0 {
			l.r.log.Warn("connection for quotes lost, opening it again", "channel", l.probe.channel, "relayed", l.relays, "err", err)
			pause = 25 * time.Millisecond
		}
		if cluster, ok := l.r.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx) // the slot may have moved; does not wait
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, time.Second)
	}
}

// end lets go of the symbols of a line that is not needed any more. Call it
// after run.
func (l *line) end() {
	for s := range l.followed {
		l.r.cfg.Board.leave(s)
	}
}
