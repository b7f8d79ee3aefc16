package session

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	leaseTTL   = 45 * time.Second // the connections of a crashed node stop counting after this time
	leaseEvery = 15 * time.Second
)

// Leases limits the connections per user over all nodes. Each connection holds a lease in Redis,
// which Run refreshes. The connections of a crashed node stop counting within 45 s. While Redis is
// lost, Acquire returns ErrUnavailable. When Redis is back, Run restores the leases of this node
// even if Redis has lost them. Leases is safe for concurrent use.
type Leases struct {
	rdb     redis.UniversalClient
	metrics *metrics
	log     *slog.Logger

	mu   sync.Mutex         // guards held; no I/O under it
	held map[lease]struct{} // of this node's connections
}

// A lease is one connection of a user. One flat set of leases needs a fraction of the memory of a
// set per user, since most users have one connection.
type lease struct{ user, conn string }

func newLeases(rdb redis.UniversalClient, m *metrics, log *slog.Logger) *Leases {
	return &Leases{rdb: rdb, metrics: m, log: log, held: make(map[lease]struct{})}
}

func connectionsKey(user string) string { return "session:connections:" + user }

// Acquire takes a lease for a connection of a user. It returns false if the user has most leases
// already. With most below 1 there is no limit, and Acquire takes no lease. conn must be unique
// over all nodes. A second Acquire of the same connection refreshes its lease. The error is
// ErrUnavailable.
func (l *Leases) Acquire(ctx context.Context, user, conn string, most int) (bool, error) {
	if most < 1 {
		return true, nil
	}
	ok, err := leaseScript.Run(ctx, l.rdb, []string{connectionsKey(user)}, conn, most, leaseTTL.Milliseconds()).Bool()
	if err != nil {
		return false, redislink.Unavailable("acquire connection", err)
	}
	if !ok {
		l.metrics.leasesDenied.Inc()
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.held[lease{user, conn}]; !known {
		l.metrics.leases.Inc()
	}
	l.held[lease{user, conn}] = struct{}{}
	return true, nil
}

// Release gives back a lease; without one it does nothing. If it returns ErrUnavailable, the lease
// still expires within 45 s.
func (l *Leases) Release(ctx context.Context, user, conn string) error {
	l.mu.Lock()
	_, known := l.held[lease{user, conn}]
	delete(l.held, lease{user, conn})
	l.mu.Unlock()
	if !known {
		return nil
	}
	l.metrics.leases.Dec()
	if err := l.rdb.ZRem(ctx, connectionsKey(user), conn).Err(); err != nil {
		return redislink.Unavailable("release connection", err)
	}
	return nil
}

// refreshAll keeps the leases of this node alive until ctx ends.
func (l *Leases) refreshAll(ctx context.Context) {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.refresh(ctx)
		}
	}
}

// snapshot returns the leases of this node, sorted by user.
func (l *Leases) snapshot() []lease {
	l.mu.Lock()
	all := slices.AppendSeq(make([]lease, 0, len(l.held)), maps.Keys(l.held))
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b lease) int { return strings.Compare(a.user, b.user) })
	return all
}

// refresh extends every lease of this node. It uses two plain commands per user, since a script
// costs more.
func (l *Leases) refresh(ctx context.Context) {
	for batch := range slices.Chunk(l.snapshot(), readBatch) {
		clock, err := l.rdb.Time(ctx).Result()
		if err != nil {
			l.metrics.leasesFailed.Inc()
			l.log.Warn("session: connection leases not refreshed", "err", err)
			return
		}
		end := float64(clock.Add(leaseTTL).UnixMilli())
		pipe := l.rdb.Pipeline()
		for rest := batch; len(rest) > 0; {
			user, members := rest[0].user, []redis.Z(nil)
			for len(rest) > 0 && rest[0].user == user {
				members, rest = append(members, redis.Z{Score: end, Member: rest[0].conn}), rest[1:]
			}
			pipe.ZAdd(ctx, connectionsKey(user), members...)
			pipe.PExpire(ctx, connectionsKey(user), leaseTTL)
		}
		if err := redislink.Exec(ctx, pipe); err != nil {
			l.metrics.leasesFailed.Inc()
			l.log.Warn("session: connection leases not refreshed", "err", err)
		}
		l.removeReleased(ctx, batch)
	}
}

// removeReleased removes leases that were released while refresh wrote them.
func (l *Leases) removeReleased(ctx context.Context, batch []lease) {
	pipe := l.rdb.Pipeline()
	l.mu.Lock()
	for _, was := range batch {
		if _, ok := l.held[was]; !ok {
			pipe.ZRem(ctx, connectionsKey(was.user), was.conn)
		}
	}
	l.mu.Unlock()
	if pipe.Len() > 0 {
		_ = redislink.Exec(ctx, pipe) // if this fails, the leases expire
	}
}

// Count returns the number of leases of a user, over all nodes. The error is ErrUnavailable.
func (l *Leases) Count(ctx context.Context, user string) (int, error) {
	clock, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, redislink.Unavailable("count connections", err)
	}
	n, err := l.rdb.ZCount(ctx, connectionsKey(user), "("+strconv.FormatInt(clock.UnixMilli(), 10), "+inf").Result()
	if err != nil {
		return 0, redislink.Unavailable("count connections", err)
	}
	return int(n), nil
}
