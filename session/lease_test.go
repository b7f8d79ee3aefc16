package session_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

func acquire(t testing.TB, m *session.Manager, user, conn string, most int) bool {
	t.Helper()
	ok, err := m.Leases.Acquire(t.Context(), user, conn, most)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestLeases(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		a, b := manager(rdb), manager(rdb)
		if !acquire(t, a, "u", "a1", 2) || !acquire(t, b, "u", "b1", 2) || acquire(t, b, "u", "b2", 2) {
			t.Error("want two of three over both nodes")
		}
		if !acquire(t, a, "u", "a1", 2) {
			t.Error("a held lease was not refreshed")
		}
		if !acquire(t, a, "other", "a2", 1) || !acquire(t, a, "u", "free", 0) {
			t.Error("another user, or no limit, was refused")
		}
		if err := a.Leases.Release(t.Context(), "u", "a1"); err != nil {
			t.Error(err)
		}
		if err := a.Leases.Release(t.Context(), "u", "never"); err != nil {
			t.Error(err)
		}
		if !acquire(t, b, "u", "b2", 2) {
			t.Error("a released lease is still counted")
		}

		// Redis forgot everything: the refresh puts held leases back.
		rdb.Del(t.Context(), "session:connections:u")
		b.Leases.RefreshLeases(t.Context())
		if n, err := b.Leases.Count(t.Context(), "u"); n != 2 || err != nil {
			t.Errorf("%d leases after a refresh, %v", n, err)
		}

		// A node that crashed does not refresh: its leases run out, within a minute.
		key := "session:connections:u"
		for _, z := range rdb.ZRangeWithScores(t.Context(), key, 0, -1).Val() {
			if left := time.Until(time.UnixMilli(int64(z.Score))); left > time.Minute || left < 30*time.Second {
				t.Errorf("lease of %s ends in %s", z.Member, left)
			}
			rdb.ZAdd(t.Context(), key, redis.Z{Score: float64(time.Now().Add(-time.Second).UnixMilli()), Member: z.Member})
		}
		if n, _ := a.Leases.Count(t.Context(), "u"); n != 0 {
			t.Errorf("%d leases of a crashed node counted", n)
		}
		if !acquire(t, a, "u", "a3", 1) {
			t.Error("the leases of a crashed node block others")
		}
		if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the key lives %s", ttl)
		}
	})
}

func TestLeasesRaced(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	a, b := manager(srv.Client()), manager(srv.Client())
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		m := a
		if i%2 == 0 {
			m = b
		}
		wg.Go(func() {
			if ok, err := m.Leases.Acquire(t.Context(), "u", fmt.Sprint(i), 20); err != nil {
				t.Error(err)
			} else if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 20 {
		t.Errorf("%d of 200 got one of 20 leases", won.Load())
	}
}
