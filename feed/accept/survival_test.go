package accept_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// failoversVariable sets how many masters TestAcknowledgedTicksSurvive kills of each kind of Redis.
const failoversVariable = "FXCAST_FAILOVERS"

// TestAcknowledgedTicksSurvive kills masters while a publisher with Replicated is busy. Every tick
// that it has seen accepted and not unreplicated must be in the history of the master that follows,
// under the same number and with the same price.
//
// For the record, 200 masters of each kind and more than 1,000,000 acknowledged ticks, in about 25
// minutes and with a tenth of a processor:
//
//	FXCAST_FAILOVERS=200 go test ./feed/accept -run TestAcknowledgedTicksSurvive -v -timeout 2h
func TestAcknowledgedTicksSurvive(t *testing.T) {
	t.Parallel()
	failovers := 2
	if text := os.Getenv(failoversVariable); text != "" {
		var err error
		if failovers, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", failoversVariable, err)
		}
	}
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		survive(t, s.Client(), failovers, func() {
			killed := s.KillMaster()
			s.AwaitFailover(killed)
			s.Restart(killed)
			s.AwaitWhole()
		})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.Options{Replicas: true}.StartCluster(t)
		round := 0
		survive(t, c.Client(), failovers, func() {
			round++
			slot := c.SlotOf(keys.Seq(survivors[round%len(survivors)]))
			killed := c.Owner(slot)
			c.KillMaster(killed)
			c.AwaitFailover(killed)
			c.AwaitWhole()
			c.Server(killed).Restart()
			c.AwaitWhole()
		})
	})
}

var survivors = []feed.Symbol{"EUR/USD", "USD/JPY", "GBP/USD", "CHF/SEK", "NOK/PLN", "AUD/NZD", "USD/CAD", "EUR/GBP"}

const (
	survivorBatch  = 16    // quotes of each symbol in a call
	survivorTicks  = 2_600 // acknowledged between two failovers
	survivorRounds = 3     // an acknowledged tick is looked for after so many failovers
	survivorPace   = 40 * time.Millisecond
)

// acknowledged is a tick that the publisher has seen accepted and replicated.
type acknowledged struct {
	symbol feed.Symbol
	epoch  string
	seq    uint64
}

func survive(t *testing.T, rdb redis.UniversalClient, failovers int, failover func()) {
	p := startPublisher(t, rdb, replicated, func(cfg *accept.PublisherConfig) { cfg.HistoryTicks = 200_000 })
	var mu sync.Mutex                  // guards what follows
	ticks := map[acknowledged]string{} // price
	var accepted, unreplicated, failed int

	ctx, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer stop()
	publishing.Go(func() {
		for n := 0; ctx.Err() == nil; time.Sleep(survivorPace) {
			var quotes []feed.Quote
			for range survivorBatch {
				n++
				for _, s := range survivors {
					quotes = append(quotes, feed.Quote{Symbol: s, Bid: fmt.Sprintf("1.%09d", n), Ask: "2"})
				}
			}
			out, _ := p.Publish(ctx, quotes)
			mu.Lock()
			for i, o := range out {
				switch {
				case o.Seq == 0:
					failed++
				case o.Unreplicated:
					accepted++
					unreplicated++
				default:
					accepted++
					ticks[acknowledged{quotes[i].Symbol, o.Epoch, o.Seq}] = quotes[i].Bid
				}
			}
			mu.Unlock()
		}
	})
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(ticks) }

	type round struct {
		ticks map[acknowledged]string
		from  string // the identifier in the history before its ticks
	}
	var rounds []round
	total, lost := 0, 0
	now := func() string { return strconv.FormatInt(time.Now().Add(-10*time.Second).UnixMilli(), 10) }
	from := now()
	for n := range failovers {
		eventually(t, "ticks are acknowledged", func() bool { return count() > survivorTicks })
		failover()
		before := count()
		eventually(t, "ticks are acknowledged after the failover", func() bool { return count() > before })
		mu.Lock()
		rounds = append(rounds, round{ticks, from})
		total += len(ticks)
		ticks, from = map[acknowledged]string{}, now()
		mu.Unlock()
		has := history(t, rdb, rounds[0].from)
		for _, r := range rounds {
			for tick, bid := range r.ticks {
				if got := has[tick]; got != bid {
					if lost++; lost <= 10 {
						t.Errorf("failover %d: %+v with bid %s was acknowledged, the history has %q", n+1, tick, bid, got)
					}
					delete(r.ticks, tick)
				}
			}
		}
		if lost > 0 {
			break // while the logs of the servers still have what happened
		}
		if len(rounds) == survivorRounds {
			rounds = rounds[1:]
		}
		if (n+1)%20 == 0 {
			t.Logf("%s: %d failovers: %d of %d acknowledged ticks lost; %d accepted and unreplicated, %d not accepted", t.Name(), n+1, lost, total, unreplicated, failed)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d failovers: %d of %d acknowledged ticks lost; %d accepted and unreplicated, %d not accepted", failovers, lost, total, unreplicated, failed)
}

// history returns the prices of all ticks that Redis has kept since from.
func history(t *testing.T, rdb redis.UniversalClient, from string) map[acknowledged]string {
	t.Helper()
	has := map[acknowledged]string{}
	for _, s := range survivors {
		var entries []redis.XMessage
		eventually(t, "the history can be read", func() (ok bool) {
			var err error
			entries, err = rdb.XRange(t.Context(), keys.Ticks(s), from, "+").Result()
			return err == nil
		})
		for _, e := range entries {
			text, _ := e.Values["q"].(string)
			tick, err := feed.DecodeTick([]byte(text))
			if err != nil {
				t.Fatalf("history of %s: %v", s, err)
			}
			has[acknowledged{s, tick.Epoch, tick.Seq}] = tick.Bid
		}
	}
	return has
}
