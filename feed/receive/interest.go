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
	// interestEvery is how often interest is reviewed when no change wakes the review.
	interestEvery = 200 * time.Millisecond
	// interestReview is how often Wanted is called for every known symbol.
	interestReview = 2 * time.Second
	// registryEvery is how often Redis is polled for new symbols: a client with a wildcard receives
	// them within 1 s.
	registryEvery = 400 * time.Millisecond
	// registryRefresh is how often at least the whole set of symbols is read, and freed of those
	// without a last value.
	registryRefresh = time.Minute
)

// follower is a symbol that this node receives.
type follower struct {
	conn     *connection
	unwanted time.Time // when the last subscriber left; zero while the symbol is wanted
}

// symbolConn is a connection for a single symbol of a cluster.
type symbolConn struct {
	*connection
	cancel context.CancelFunc
	done   chan struct{} // closed when the connection has ended
}

func (c *symbolConn) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// InterestChanged notes that the answer of Wanted may have changed for a topic. A topic that is not
// a known symbol (a wildcard, a relayed channel) is ignored. InterestChanged never blocks and is
// safe for concurrent use.
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

// steer assigns wanted symbols to connections until ctx ends.
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
			if now.Sub(last) < 5*interestEvery { // a longer interval means that this process was paused: let it read first
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

// review starts following s if it is wanted, or notes since when it is not.
func (r *Receiver) review(ctx context.Context, s feed.Symbol, now time.Time, wg *sync.WaitGroup) {
	wanted := r.cfg.Wanted == nil || r.cfg.Wanted(string(s))
	f := r.followers[s]
	switch {
	case wanted && f == nil:
		l := r.connectionFor(ctx, s, wg)
		if l == nil { // the previous connection has not ended
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

// dismiss stops following symbols that have been unwanted for longer than Linger.
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

// connectionFor returns the connection that receives s: the main one, or in a cluster a new one for
// s alone. It returns nil while a previous connection for s has not ended.
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
		_ = own.listener.Run(ctx) // always nil: the listener is not optional
		own.end()
	})
	return own.connection
}

// watchSymbols polls for symbols that come and go until ctx ends. It reads the whole set only once
// a minute and when its size has changed.
func (r *Receiver) watchSymbols(ctx context.Context) {
	refresh := min(registryRefresh, max(r.cfg.Board.cfg.LastKnown/4, registryEvery))
	size, read, pruned := int64(-1), time.Time{}, time.Now() // -1: never read
	strange := 0                                             // members that are not known symbols on this node
	for ; ctx.Err() == nil; redislink.Sleep(ctx, registryEvery) {
		n, err := r.symbolCount(ctx)
		if err != nil || n == size && time.Since(read) < refresh {
			continue // the probes report a lost Redis
		}
		members, err := r.symbolSet(ctx)
		if err != nil {
			continue
		}
		first := size < 0
		size, read = int64(len(members)), time.Now()
		var known, all []feed.Symbol
		var other []string
		for _, m := range members {
			s := feed.Symbol(m)
			all = append(all, s)
			if r.cfg.Board.cfg.Instruments.Known(s) {
				known = append(known, s)
			} else {
				other = append(other, m)
			}
		}
		if len(other) > strange {
			r.log.Warn("other nodes accepted symbols that this node does not know: INSTRUMENTS must be the same on all nodes and producers",
				"symbols", len(other), "example", feed.Quoted(other[0]))
		}
		strange = len(other)
		for _, s := range r.cfg.Board.list(known, !first) {
			r.InterestChanged(string(s))
		}
		if time.Since(pruned) >= refresh {
			pruned = time.Now()
			if err := r.prune(ctx, all); err != nil && ctx.Err() == nil {
				r.log.Debug("symbols without a last value stay listed for now", "err", err)
			}
		}
	}
}

// prune takes those of the listed symbols off the list whose last value Redis has
// forgotten. In a cluster their keys are elsewhere than the list, so it looks again
// afterwards: a symbol that got a quote meanwhile is listed again.
func (r *Receiver) prune(ctx context.Context, listed []feed.Symbol) error {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	gone, err := r.withoutLast(ctx, r.cfg.Board.withoutValue(listed))
	if err != nil || len(gone) == 0 {
		return err
	}
	if err := r.client.SRem(ctx, r.cfg.Keys.Symbols(), asMembers(gone)...).Err(); err != nil {
		return err
	}
	still, err := r.withoutLast(ctx, gone)
	if err != nil {
		return err
	}
	back := slices.DeleteFunc(gone, func(s feed.Symbol) bool { return slices.Contains(still, s) })
	if len(back) == 0 {
		return nil
	}
	return r.client.SAdd(ctx, r.cfg.Keys.Symbols(), asMembers(back)...).Err()
}

// withoutLast returns those of symbols that have no last value in Redis.
func (r *Receiver) withoutLast(ctx context.Context, symbols []feed.Symbol) ([]feed.Symbol, error) {
	found, _, err := r.lasts.read(ctx, symbols)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(symbols), func(s feed.Symbol) bool { return found[s] != nil }), nil
}

func asMembers(symbols []feed.Symbol) []any {
	list := make([]any, len(symbols))
	for i, s := range symbols {
		list[i] = string(s)
	}
	return list
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
