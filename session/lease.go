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
	leaseTTL   = 45 * time.Second // a crashed node's connections stop counting after this
	leaseEvery = 15 * time.Second
)

// Leases counts connections per user over all nodes, each by a lease in Redis that must be refreshed.
// The connections of a node that crashed stop counting within 45 s. While Redis is lost nothing can be acquired;
// leases held here are put back when it returns, even if it forgot them. Safe for concurrent use.
type Leases struct {
	rdb     redis.UniversalClient
	metrics *metrics
	log     *slog.Logger

	mu   sync.Mutex         // guards held; no I/O under it
	held map[lease]struct{} // of this node's connections
}

// A lease is one connection of a user. One flat set of them costs a fraction of a set for each user,
// of which most have one connection.
type lease struct{ user, conn string }

func newLeases(rdb redis.UniversalClient, m *metrics, log *slog.Logger) *Leases {
	return &Leases{rdb: rdb, metrics: m, log: log, held: make(map[lease]struct{})}
}

func connectionsKey(user string) string { return "session:connections:" + user }

// Acquire takes a lease for a connection of a user, unless most others are in use; most below 1 means
// no limit, and no lease. conn must be unique over all nodes. Acquiring a held lease again refreshes it.
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

// Release gives a lease back. If Redis cannot be told the lease runs out by itself.
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

// snapshot lists the leases held here, those of one user together.
func (l *Leases) snapshot() []lease {
	l.mu.Lock()
	all := slices.AppendSeq(make([]lease, 0, len(l.held)), maps.Keys(l.held))
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b lease) int { return strings.Compare(a.user, b.user) })
	return all
}

// refresh moves the end of every lease held here. Two plain commands per user, since scripts cost more.
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
		if _, err := pipe.Exec(ctx); err != nil {
			l.metrics.leasesFailed.Inc()
			l.log.Warn("session: connection leases not refreshed", "err", err)
		}
		l.removeReleased(ctx, batch)
	}
}

// removeReleased takes back what was released while it was being refreshed.
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
		_, _ = pipe.Exec(ctx) // else they run out by themselves
	}
}

// Count returns how many connections of a user hold a lease, over all nodes.
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
