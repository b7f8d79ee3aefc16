package producer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
)

// goneRedis is a publisher whose Redis can be away.
type goneRedis struct {
	mu    sync.Mutex
	gone  error
	taken []feed.Quote
}

func (g *goneRedis) Publish(_ context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	outcomes := make([]accept.Outcome, len(quotes))
	if g.gone != nil {
		return outcomes, g.gone
	}
	g.taken = append(g.taken, quotes...)
	for i := range outcomes {
		outcomes[i] = accept.Outcome{Epoch: "e", Seq: 1, At: 1}
	}
	return outcomes, nil
}

func (g *goneRedis) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = err
}

func numbered(symbol feed.Symbol, n int) feed.Quote {
	return feed.Quote{Symbol: symbol, Bid: strconv.Itoa(n), Ask: strconv.Itoa(n)}
}

func TestOutboxDropsOldestOfEachSymbol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: redislink.ErrUnavailable}
		var said []string
		box := newOutbox(g, newTally(), outboxEvents{
			lost: func(error) { said = append(said, "lost") },
			back: func(o outage) { said = append(said, fmt.Sprint("back ", o.dropped)) },
		})
		box.drops = true
		const n = 50_000
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			if err := add(ctx, []feed.Quote{numbered("NZD/CHF", 1)}); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second) // until the box knows that Redis is gone
			for i := range n {
				if err := add(ctx, []feed.Quote{numbered("EUR/USD", i+1)}); err != nil {
					t.Error(err)
				}
				if i == 10 {
					_ = add(ctx, []feed.Quote{numbered("USD/JPY", 7)})
				}
			}
			g.set(nil)
		})
		if len(g.taken) > outboxSize || len(g.taken) < outboxSize/4 {
			t.Errorf("%d quotes came through a box of %d", len(g.taken), outboxSize)
		}
		count := map[feed.Symbol]int{}
		before := 0
		for _, q := range g.taken {
			count[q.Symbol]++
			if q.Symbol == "EUR/USD" {
				i, _ := strconv.Atoi(q.Bid)
				if i <= before {
					t.Fatalf("%d after %d", i, before)
				}
				before = i
			}
		}
		if count["NZD/CHF"] != 1 || count["USD/JPY"] != 1 || before != n {
			t.Errorf("%v, the last of EUR/USD is %d: want the newest of each symbol", count, before)
		}
		c := box.tally.snapshot()
		if int(c.accepted) != len(g.taken) || c.accepted+c.dropped != n+2 || c.unsent+c.unknown != 0 {
			t.Errorf("counted %+v, %d were taken", c, len(g.taken))
		}
		if want := []string{"lost", fmt.Sprint("back ", c.dropped)}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

func TestOutboxWaitsAtFullSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: redislink.ErrUnavailable}
		box := newOutbox(g, newTally(), outboxEvents{lost: func(error) {}, back: func(outage) {}})
		time.AfterFunc(time.Minute, func() { g.set(nil) })
		const n = 3 * outboxSize
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			for i := range n {
				if err := add(ctx, []feed.Quote{numbered("EUR/USD", i)}); err != nil {
					t.Error(err)
				}
			}
		})
		if len(g.taken) != n {
			t.Fatalf("%d of %d came through", len(g.taken), n)
		}
		for i, q := range g.taken {
			if q.Bid != strconv.Itoa(i) {
				t.Fatalf("quote %d is %s", i, q.Bid)
			}
		}
	})
}

func TestOutboxDoesNotDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &goneRedis{gone: fmt.Errorf("%w: %w", redislink.ErrUnavailable, accept.ErrOutcomeUnknown)}
		var reported outage
		box := newOutbox(g, newTally(), outboxEvents{lost: func(error) {}, back: func(o outage) { reported = o }})
		box.run(t.Context(), func(ctx context.Context, add addFunc) {
			_ = add(ctx, []feed.Quote{numbered("EUR/USD", 1)})
			time.Sleep(time.Second)
			g.set(nil)
			_ = add(ctx, []feed.Quote{numbered("EUR/USD", 2)})
		})
		if c := box.tally.snapshot(); c.unknown != 1 || c.accepted != 1 || len(g.taken) != 1 {
			t.Errorf("counted %+v, %d were taken: want the unknown one counted and not repeated", c, len(g.taken))
		}
		if reported.unknown != 1 || reported.dropped != 0 {
			t.Errorf("reported %+v, want one quote of unknown outcome", reported)
		}
	})
}

func TestOutboxEndsWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, interrupted := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			box := newOutbox(&goneRedis{gone: redislink.ErrUnavailable}, newTally(), outboxEvents{lost: func(error) {}})
			start := time.Now()
			box.run(ctx, func(ctx context.Context, add addFunc) {
				_ = add(ctx, []feed.Quote{numbered("EUR/USD", 1)})
				if interrupted {
					cancel()
				}
			})
			cancel()
			want := flushGrace
			if interrupted {
				want = interruptGrace
			}
			if took := time.Since(start); took != want || box.tally.snapshot().unsent != 1 {
				t.Errorf("interrupted %v: ended after %v, want %v, with %+v", interrupted, took, want, box.tally.snapshot())
			}
		}
	})
}
