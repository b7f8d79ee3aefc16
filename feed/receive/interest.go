package receive

import (
	"context"
	"slices"
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
	conn     *connection // nil while its master is not known
	unwanted time.Time   // when the last subscriber left; zero while the symbol is wanted
	missing  time.Time   // since when no server is known to serve it; zero while one does
	tried    time.Time   // when its connection last asked for it in vain
}

// InterestChanged notes that the answer of Wanted may have changed for a topic. A topic that is not
// a known symbol (a wildcard, a relayed channel) is ignored. InterestChanged never blocks and is
// safe for concurrent use.
func (r *Receiver) InterestChanged(topic string) {
	if s := feed.Symbol(topic); r.cfg.Board.cfg.Instruments.Known(s) {
		r.again(s)
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// again has symbols reviewed within interestEvery.
func (r *Receiver) again(symbols ...feed.Symbol) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range symbols {
		r.changed[s] = true
	}
}

// steer assigns wanted symbols to connections until ctx ends.
func (r *Receiver) steer(ctx context.Context) {
	defer r.masterConns.Wait()
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
		r.lookedInVain = false
		for s := range changed {
			r.review(ctx, s, now)
		}
		r.dismiss(now)
		r.retire(ctx)
	}
}

// review starts following s if it is wanted, or notes since when it is not.
func (r *Receiver) review(ctx context.Context, s feed.Symbol, now time.Time) {
	wanted := r.cfg.Wanted == nil || r.cfg.Wanted(string(s))
	f := r.followers[s]
	switch {
	case wanted && f == nil:
		f = &follower{}
		r.followers[s] = f
	case wanted:
		f.unwanted = time.Time{}
	case f != nil && f.unwanted.IsZero():
		f.unwanted = now
	}
	switch {
	case f == nil:
	case r.cluster:
		r.place(ctx, s, f, now)
	case f.conn == nil:
		f.conn = r.main
		r.main.want(s, true)
	}
}

// dismiss stops following symbols that have been unwanted for longer than Linger.
func (r *Receiver) dismiss(now time.Time) {
	for s, f := range r.followers {
		if f.unwanted.IsZero() || now.Sub(f.unwanted) < r.cfg.Linger {
			continue
		}
		delete(r.followers, s)
		if f.conn != nil {
			f.conn.want(s, false)
		}
	}
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
