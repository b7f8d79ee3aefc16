package accept_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestGateClockJumps checks that times in order are not refused as old after Redis's clock jumps,
// or after a failover to a server whose clock is behind.
func TestGateClockJumps(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a, ctx := gated(), t.Context()
		now := time.Now()
		q := at("EUR/USD", "1.1", "a")
		for _, ahead := range []time.Duration{time.Hour, -time.Hour, 0} {
			// As the script leaves it when the clock is so far ahead.
			then := now.Add(ahead).UnixMicro()
			c.HSet(ctx, keys.Seq("EUR/USD"), "ref", fmt.Sprintf("22 1 5 %d %d", then, then), "s:a", fmt.Sprintf("%d %d %d", then, then, then),
				"o:b", fmt.Sprintf("2 22 999999999 %d", then))
			for _, when := range []time.Time{time.Now().Add(-time.Second), time.Now(), {}} {
				if q.Time = when; ahead == 0 && when.Before(now) {
					continue // before the last one
				}
				if o := mustAccept(t, c, q, a); o.Rejection != nil {
					t.Errorf("a clock %v ahead, a quote of %v: %v", ahead, when, o.Rejection)
				}
			}
			far := at("EUR/USD", "11", "b")
			if o := mustAccept(t, c, far, a); verdict(o) != "outlier" {
				t.Errorf("a clock %v ahead: %s, want the reference to hold", ahead, verdict(o))
			}
		}
	})
}

// TestForgetReference checks that ForgetReference reports whether there was a reference, and fails
// if its key has the wrong type.
func TestForgetReference(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p := startPublisher(t, c, func(p *accept.PublisherConfig) { p.Gate = accept.DefaultGate })
		publishOne(t, p, at("EUR/USD", "1.1", "a"))
		for _, want := range []bool{true, false} {
			if forgotten, err := p.ForgetReference(t.Context(), "EUR/USD"); forgotten != want || err != nil {
				t.Errorf("forgotten %v, %v, want %v", forgotten, err, want)
			}
		}
		if o := publishOne(t, p, at("EUR/USD", "11", "a")); o.Rejection != nil {
			t.Errorf("without a reference: %v", o.Rejection)
		}
		c.Del(t.Context(), keys.Seq("EUR/USD"))
		c.LPush(t.Context(), keys.Seq("EUR/USD"), "x")
		if _, err := p.ForgetReference(t.Context(), "EUR/USD"); redislink.Code(err) != "WRONGTYPE" || !errors.Is(err, redislink.ErrUnavailable) {
			t.Errorf("a list in place of the counter: %v", err)
		}
		if _, err := p.Publish(t.Context(), []feed.Quote{at("EUR/USD", "1.1", "a")}); redislink.Code(err) != "WRONGTYPE" || !strings.Contains(err.Error(), keys.Seq("EUR/USD")) {
			t.Errorf("a list in place of the counter: %v", err)
		}
	})
}

// TestGateFlood publishes thousands of outliers of one source that agree with one another. None is
// accepted, and none keeps a good source out. The cost is logged.
func TestGateFlood(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		// Each has a publisher of its own, as two producers have.
		gate := func(p *accept.PublisherConfig) {
			p.Gate = accept.DefaultGate
			p.Gate.StaleAfter = time.Minute // the good source is not silent for this long, even on a busy machine
			p.Timeout = time.Minute         // nor is a round trip that slow
		}
		good, bad := startPublisher(t, c, gate), startPublisher(t, c, gate)
		const quotes = 300
		publish := func(p *accept.Publisher, price, source string, n int) (accepted int) {
			outcomes, err := p.Publish(t.Context(), slices.Repeat([]feed.Quote{at("EUR/USD", price, source)}, n))
			if err != nil {
				t.Error(err)
			}
			for _, o := range outcomes {
				if o.Seq > 0 {
					accepted++
				}
			}
			return accepted
		}
		rate := func() float64 { // of one quote after the other
			began := time.Now()
			for i := range quotes {
				if publish(good, fmt.Sprintf("1.08%03d", i), "good", 1) != 1 {
					t.Fatal("the good source is refused")
				}
			}
			return quotes / time.Since(began).Seconds()
		}
		alone := rate()
		done := make(chan struct{})
		var flood sync.WaitGroup
		var outliers, let atomic.Int64
		began := time.Now()
		stop := sync.OnceFunc(func() { close(done) })
		defer flood.Wait()
		defer stop() // a failed check must not leave the flood running
		flood.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond) // 10,000 a second
			defer pace.Stop()
			for {
				let.Add(int64(publish(bad, "1.2", "bad", 100)))
				outliers.Add(100)
				select {
				case <-done:
					return
				case <-pace.C:
				}
			}
		})
		eventually(t, "the flood is under way", func() bool { return outliers.Load() >= 1000 })
		beside := rate()
		stop()
		flood.Wait()
		if let.Load() != 0 {
			t.Errorf("%d of %d outliers were accepted", let.Load(), outliers.Load())
		}
		t.Logf("accepted one by one: %.0f a second alone, %.0f beside %.0f outliers a second", alone, beside, float64(outliers.Load())/time.Since(began).Seconds())
	})
}

// TestGateBoundsOutliers checks that outliers of at most 16 sources are remembered.
func TestGateBoundsOutliers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a, ctx := gated(), t.Context()
		mustAccept(t, c, at("EUR/USD", "1.1", "good"), a)
		for i := range 40 {
			if o := mustAccept(t, c, at("EUR/USD", fmt.Sprintf("%d", 2+i), fmt.Sprintf("s%d", i)), a); verdict(o) != "outlier" {
				t.Fatalf("outlier %d: %s", i, verdict(o))
			}
		}
		fields := c.HGetAll(ctx, keys.Seq("EUR/USD")).Val()
		n := 0
		for name := range fields {
			if strings.HasPrefix(name, "o:") {
				n++
			}
		}
		if n != 16 || fields["o:s39"] == "" || fields["o:s0"] != "" {
			t.Errorf("%d outliers are remembered, want the newest 16: %v", n, fields)
		}
		if o := mustAccept(t, c, at("EUR/USD", "1.1001", "good"), a); verdict(o) != "2" {
			t.Errorf("the good source: %s", verdict(o))
		}
	})
}

// TestGateOnAReplica checks that an outlier leaves no trace if Redis refuses writes.
func TestGateOnAReplica(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory-policy", "noeviction")
	c, ctx := s.Client(), t.Context()
	mustAccept(t, c, at("EUR/USD", "1.1", "a"), gated())
	if err := c.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := accept.Accept(ctx, c, at("EUR/USD", "2", "a"), gated()); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("an outlier on a full server: %v, want OOM", err)
	}
}
