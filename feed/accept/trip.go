package accept

import (
	"context"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

// trip is one round trip to a master.
type trip struct {
	to     *master
	over   *connection
	calls  []*call
	asking bool  // slots of the calls are on their way to the master
	err    error // not nil: nothing was sent
}

// trips groups quotes by the master of their symbol.
func (l *lane) trips(ctx context.Context, quotes []pending) []*trip {
	var all []*trip
	to := map[*master]*trip{} // the key nil: the master is not known
	for _, c := range calls(quotes, l.masters.cluster != nil) {
		for _, one := range c.parts {
			one.keys = l.keysOf(one.symbol())
		}
		m, err := l.masters.of(ctx, l.cfg.Keys.Seq(c.parts[0].symbol()))
		t := to[m]
		if t == nil {
			t = &trip{to: m, err: err}
			to[m] = t
			all = append(all, t)
		}
		t.calls = append(t.calls, c)
	}
	return all
}

// keysOf returns the keys of a symbol.
func (l *lane) keysOf(s feed.Symbol) *symbolKeys {
	keys := l.keys[s]
	if keys == nil {
		if len(l.keys) >= maxKeys {
			clear(l.keys)
		}
		keys = newSymbolKeys(l.cfg.Keys, s)
		l.keys[s] = keys
	}
	return keys
}

// carryOut runs all calls of a trip in one pipeline. Several trips may run concurrently.
func (l *lane) carryOut(ctx context.Context, t *trip) {
	if t.err == nil {
		t.over, t.err = t.to.connect(ctx)
	}
	if t.err != nil {
		return
	}
	now := time.Now()
	accept := acceptance{
		now: now, quoteTTL: l.cfg.QuoteTTL, history: l.cfg.HistoryTicks,
		candidate: feed.NewEpoch(now), run: *t.over.run.Load(), rules: l.rules, sharded: l.masters.cluster != nil, asking: t.asking,
	}
	header, hash := accept.header(), any(publishScript.Hash())
	pipe := t.over.client.Pipeline()
	for _, c := range t.calls {
		symbols := make([]symbolQuotes, 0, len(c.parts))
		for _, one := range c.parts {
			symbols = append(symbols, symbolQuotes{one.keys, one.quotes, l.lastSeen(one.symbol())})
		}
		keys, args := accept.args(header, symbols)
		if t.asking {
			pipe.Do(ctx, "ASKING")
		}
		command := append(make([]any, 0, 3+len(keys)+len(args)), "evalsha", hash, len(keys))
		c.answer = pipe.Do(ctx, append(append(command, keys...), args...)...)
	}
	var info *redis.StringCmd
	if t.to.replicas.due() {
		info = pipe.Info(ctx, "replication")
	}
	_ = redislink.Exec(ctx, pipe) // each command has its own error
	if info != nil {
		t.to.replicas.look(info)
	}
}

// carryOutAll carries out trips concurrently. It returns the quotes that may be sent again, with the
// reason.
func (l *lane) carryOutAll(ctx context.Context, trips []*trip) (again []pending, reason error) {
	var under sync.WaitGroup
	for _, t := range trips[1:] {
		under.Go(func() { l.carryOut(ctx, t) })
	}
	l.carryOut(ctx, trips[0])
	under.Wait()
	for _, t := range trips {
		if tripAgain, err := l.finish(ctx, t); len(tripAgain) > 0 {
			again, reason = append(again, tripAgain...), err
		}
	}
	return again, reason
}

// asked returns the trips of the calls that were answered by the address of another master. Of the
// calls of one symbol that follow each other, all were if the first was: the keys do not come back.
func (l *lane) asked(trips []*trip) []*trip {
	var all []*trip
	to := map[*master]*trip{}
	for _, t := range trips {
		for _, c := range t.calls {
			if c.askedAt == "" {
				continue
			}
			m := l.masters.asked(c.askedAt, t.to)
			asking := to[m]
			if asking == nil {
				asking = &trip{to: m, asking: true}
				to[m] = asking
				all = append(all, asking)
			}
			asking.calls = append(asking.calls, c)
		}
	}
	return all
}
