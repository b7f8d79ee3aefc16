package receive

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	// interestEvery is how often connections are looked after besides when told to.
	interestEvery = 200 * time.Millisecond
	// interestReview is how often every known symbol is asked about again.
	interestReview = 2 * time.Second
	// registryEvery is how often new symbols are looked for: a client with a
	// wildcard gets them within 1 s.
	registryEvery = 400 * time.Millisecond
	// registryRefresh is how often the known symbols are read whole.
	registryRefresh = time.Minute
)

// follower is a symbol that is received.
type follower struct {
	conn     *connection
	unwanted time.Time // since when nobody wants it; zero = somebody does
}

// symbolConn is a connection of one symbol, in a cluster.
type symbolConn struct {
	*connection
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

func (c *symbolConn) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// InterestChanged tells that Wanted may answer otherwise for a topic than it
// did. What is no known symbol (a wildcard, a relayed channel) is ignored.
// It never blocks and may be called by several goroutines.
func (r *Receiver) InterestChanged(topic string) {
	if s := feed.Symbol(topic); r.cfg.Board.cfg.Instruments.Known(s) {
		r.mu.Lock()
		r.changed[s] = true
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// steer gives the connections what clients want, until ctx ends.
func (r *Receiver) steer(ctx context.Context) {
	var symbolConns sync.WaitGroup
	defer symbolConns.Wait()
	tick := time.NewTicker(interestEvery)
	defer tick.Stop()
	var reviewed time.Time
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-tick.C:
			now := time.Now()
			if now.Sub(last) < 5*interestEvery { // else this process was paused: let it read first
				r.checkDegraded()
			}
			last = now
		}
		r.mu.Lock()
		changed := r.changed
		r.changed = map[feed.Symbol]bool{}
		r.mu.Unlock()
		now := time.Now()
		if now.Sub(reviewed) >= interestReview {
			reviewed = now
			for _, s := range r.cfg.Board.names() {
				changed[s] = true
			}
			for s := range r.followers {
				changed[s] = true
			}
		}
		for s := range changed {
			r.review(ctx, s, now, &symbolConns)
		}
		r.dismiss(now)
	}
}

// review asks whether s is wanted.
func (r *Receiver) review(ctx context.Context, s feed.Symbol, now time.Time, wg *sync.WaitGroup) {
	wanted := r.cfg.Wanted == nil || r.cfg.Wanted(string(s))
	f := r.followers[s]
	switch {
	case wanted && f == nil:
		l := r.connectionFor(ctx, s, wg)
		if l == nil { // the one before has not ended
			r.mu.Lock()
			r.changed[s] = true
			r.mu.Unlock()
			return
		}
		r.followers[s] = &follower{conn: l}
		l.want(s, true)
	case wanted:
		f.unwanted = time.Time{}
	case f != nil && f.unwanted.IsZero():
		f.unwanted = now
	}
}

// dismiss ends following what nobody has wanted for long enough.
func (r *Receiver) dismiss(now time.Time) {
	for s, f := range r.followers {
		if f.unwanted.IsZero() || now.Sub(f.unwanted) < r.cfg.Linger {
			continue
		}
		delete(r.followers, s)
		if !r.cluster {
			f.conn.want(s, false)
			continue
		}
		own := r.symbolConns[s]
		own.cancel() // it leaves s when it ends
		r.mu.Lock()
		r.conns = slices.DeleteFunc(r.conns, func(l *connection) bool { return l == own.connection })
		r.mu.Unlock()
	}
}

// connectionFor returns the connection that receives s: the main one, or in a cluster one
// of its own, nil while a former one has not ended.
func (r *Receiver) connectionFor(ctx context.Context, s feed.Symbol, wg *sync.WaitGroup) *connection {
	if !r.cluster {
		return r.main
	}
	if former := r.symbolConns[s]; former != nil && !former.ended() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	own := &symbolConn{newConnection(r, r.cfg.Keys.SymbolProbe(r.cfg.Node, s), true, nil), cancel, make(chan struct{})}
	r.symbolConns[s] = own
	r.mu.Lock()
	r.conns = append(r.conns, own.connection)
	r.mu.Unlock()
	wg.Go(func() {
		defer close(own.done)
		defer cancel()
		_ = own.listener.Run(ctx) // nil: it is not optional
		own.end()
	})
	return own.connection
}

// watchSymbols looks for new symbols until ctx ends. The set is read whole only
// when its size changed, and once a minute.
func (r *Receiver) watchSymbols(ctx context.Context) {
	size, read := int64(-1), time.Time{} // -1: never read
	known := map[feed.Symbol]bool{}
	strange := 0 // members that are no symbols here
	for ; ctx.Err() == nil; redislink.Sleep(ctx, registryEvery) {
		n, err := r.symbolCount(ctx)
		if err != nil || n == size && time.Since(read) < registryRefresh {
			continue // the probes tell that Redis is lost
		}
		members, err := r.symbolSet(ctx)
		if err != nil {
			continue
		}
		first := size < 0
		size, read = int64(len(members)), time.Now()
		var found []feed.Symbol
		var other []string
		for _, m := range members {
			switch s := feed.Symbol(m); {
			case !r.cfg.Board.cfg.Instruments.Known(s):
				other = append(other, m)
			case !known[s]:
				known[s] = true
				found = append(found, s)
			}
		}
		if len(other) > strange {
			r.log.Warn("symbols that were accepted elsewhere are not known here: the INSTRUMENTS of all nodes and producers must be the same",
				"symbols", len(other), "example", feed.Quoted(other[0]))
		}
		strange = len(other)
		r.cfg.Board.list(found, !first)
		for _, s := range found {
			r.InterestChanged(string(s))
		}
	}
}

func (r *Receiver) symbolCount(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	return r.client.SCard(ctx, r.cfg.Keys.Symbols()).Result()
}

func (r *Receiver) symbolSet(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	return r.client.SMembers(ctx, r.cfg.Keys.Symbols()).Result()
}
