package accept_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// startPublisher returns a running Publisher on c.
func startPublisher(t testing.TB, c redis.UniversalClient, change ...func(*accept.PublisherConfig)) *accept.Publisher {
	t.Helper()
	cfg := accept.PublisherConfig{Redis: c, Keys: keys}
	for _, f := range change {
		f(&cfg)
	}
	p := accept.NewPublisher(cfg)
	start(t, p.Run)
	return p
}

func publishOne(t testing.TB, p *accept.Publisher, q feed.Quote) accept.Outcome {
	t.Helper()
	o, err := p.Publish(t.Context(), []feed.Quote{q})
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return o[0]
}

func TestPublish(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		reg := prometheus.NewPedanticRegistry()
		p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Registerer = reg })
		quotes := []feed.Quote{
			eurusd("1.1", "1.2"), eurusd("1.3", "1.2"), // crossed
			{Symbol: "GBP/USD", Bid: "1", Ask: "1", Time: time.Now().Add(time.Hour)}, eurusd("1.2", "1.3"),
		}
		o, err := p.Publish(t.Context(), quotes)
		if err != nil {
			t.Fatal(err)
		}
		if o[0].Seq != 1 || o[3].Seq != 2 || o[0].Epoch != o[3].Epoch || o[0].Epoch == "" {
			t.Errorf("outcomes = %+v, want numbers 1 and 2 of one epoch", o)
		}
		if r := o[1].Rejection; r == nil || r.Reason != feed.ReasonCrossed {
			t.Errorf("crossed: %+v", o[1])
		}
		if r := o[2].Rejection; r == nil || r.Reason != feed.ReasonFuture {
			t.Errorf("an hour ahead: %+v", o[2])
		}
		if m := c.SMembers(t.Context(), keys.Symbols()).Val(); fmt.Sprint(m) != "[EUR/USD]" {
			t.Errorf("symbols = %v, want the accepted one", m)
		}
		if a, r := metric(t, reg, "fx_feed_published_total", "accepted"), metric(t, reg, "fx_feed_published_total", "rejected"); a != 2 || r != 2 {
			t.Errorf("counted %v accepted, %v rejected, want 2 and 2", a, r)
		}
		if o, err := p.Publish(t.Context(), nil); err != nil || len(o) != 0 {
			t.Errorf("no quotes: %v, %v", o, err)
		}
	})
}

// In any interleaving of publishers and callers, each symbol's numbers are 1, 2, 3… within one
// epoch, and each caller's quotes keep their order.
func TestPublishersInterleave(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var publishers []*accept.Publisher
	for range 2 {
		publishers = append(publishers, startPublisher(t, s.Client()))
	}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		symbols := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}
		batches := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(symbols), 1, 300), 1, 6).Draw(rt, "batches")
		before := map[feed.Symbol]uint64{}
		epochs := map[feed.Symbol]string{}
		for _, sym := range symbols {
			o := publishOne(t, publishers[0], feed.Quote{Symbol: sym, Bid: "1", Ask: "1"})
			before[sym], epochs[sym] = o.Seq, o.Epoch
		}
		var mu sync.Mutex
		got := map[feed.Symbol]map[uint64]bool{}
		total := map[feed.Symbol]uint64{}
		var wg sync.WaitGroup
		for i, batch := range batches {
			quotes := make([]feed.Quote, len(batch))
			for k, sym := range batch {
				quotes[k] = feed.Quote{Symbol: sym, Bid: "1", Ask: "1"}
			}
			wg.Go(func() {
				out, err := publishers[i%2].Publish(context.Background(), quotes)
				if err != nil {
					rt.Errorf("Publish: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				last := map[feed.Symbol]uint64{}
				for k, o := range out {
					sym := quotes[k].Symbol
					if o.Epoch != epochs[sym] || o.Seq <= last[sym] {
						rt.Errorf("%s: number %d of %q after %d of %q", sym, o.Seq, o.Epoch, last[sym], epochs[sym])
					}
					last[sym] = o.Seq
					if got[sym] == nil {
						got[sym] = map[uint64]bool{}
					}
					if got[sym][o.Seq] {
						rt.Errorf("%s: number %d given twice", sym, o.Seq)
					}
					got[sym][o.Seq] = true
					total[sym]++
				}
			})
		}
		wg.Wait()
		for sym, n := range total {
			for seq := before[sym] + 1; seq <= before[sym]+n; seq++ {
				if !got[sym][seq] {
					rt.Errorf("%s: number %d was given to nobody", sym, seq)
				}
			}
		}
	})
}

func TestPublishReloadsScript(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	p := startPublisher(t, c)
	publishOne(t, p, eurusd("1", "2"))
	if err := c.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if o := publishOne(t, p, eurusd("1", "2")); o.Seq != 2 {
		t.Errorf("after SCRIPT FLUSH: %+v, want number 2", o)
	}
}

func TestNewEpochAfterRestart(t *testing.T) {
	t.Parallel()
	t.Run("data lost", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		p := startPublisher(t, s.Client())
		first := publishOne(t, p, eurusd("1", "2"))
		s.Restart()
		o := publishAgain(t, p)
		if o.Epoch == first.Epoch || o.Seq != 1 {
			t.Errorf("after the restart: %+v, before: %+v; want number 1 of a new epoch", o, first)
		}
		if ok := s.Client().SIsMember(t.Context(), keys.Symbols(), "EUR/USD").Val(); !ok {
			t.Error("the symbol was not listed again")
		}
	})
	t.Run("data kept", func(t *testing.T) {
		t.Parallel()
		// The append-only file may have lost its end, so the counter is not
		// trusted: neither by the publisher that knew it nor by a new one.
		s := redistest.Start(t, redistest.Durable...)
		p := startPublisher(t, s.Client())
		other := startPublisher(t, s.Client())
		first := publishOne(t, p, eurusd("1", "2"))
		publishOne(t, other, eurusd("1", "2"))
		s.Restart()
		o := publishAgain(t, p)
		if o.Epoch == first.Epoch || o.Seq != 1 {
			t.Errorf("after the restart: %+v, before: %+v; want number 1 of a new epoch", o, first)
		}
		if o2 := publishAgain(t, other); o2.Epoch != o.Epoch || o2.Seq != 2 {
			t.Errorf("the other publisher: %+v, want the number after %+v", o2, o)
		}
	})
	t.Run("counter went back", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		c := s.Client()
		p := startPublisher(t, c)
		publishOne(t, p, eurusd("1", "2"))
		first := publishOne(t, p, eurusd("1", "2"))
		c.HSet(t.Context(), keys.Seq("EUR/USD"), "seq", 1)
		if o := publishOne(t, p, eurusd("1", "2")); o.Epoch == first.Epoch || o.Seq != 1 {
			t.Errorf("own memory: %+v, want number 1 of a new epoch", o)
		}
		// A publisher that never published the symbol, on a node that received it.
		o := publishOne(t, p, eurusd("1", "2"))
		fresh := startPublisher(t, c, func(cfg *accept.PublisherConfig) {
			cfg.Known = func(feed.Symbol) (string, uint64, int64) { return o.Epoch, o.Seq + 1, o.At }
		})
		if o2 := publishOne(t, fresh, eurusd("1", "2")); o2.Epoch == o.Epoch || o2.Seq != 1 {
			t.Errorf("the node's memory: %+v, want number 1 of a new epoch", o2)
		}
	})
}

// publishAgain publishes one quote when the server is back. The first attempt may use the dead
// connection, and its outcome is then unknown.
func publishAgain(t *testing.T, p *accept.Publisher) accept.Outcome {
	t.Helper()
	for range 20 {
		o, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
		if err == nil {
			return o[0]
		}
		if !errors.Is(err, redislink.ErrUnavailable) {
			t.Fatalf("Publish: %v, want ErrUnavailable", err)
		}
	}
	t.Fatal("publishing did not recover")
	return accept.Outcome{}
}

func TestPublishWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	reg := prometheus.NewPedanticRegistry()
	p := startPublisher(t, s.Client(), func(cfg *accept.PublisherConfig) { cfg.Timeout, cfg.Registerer = time.Second, reg })
	publishOne(t, p, eurusd("1", "2"))

	s.Pause() // what is sent now stays unanswered
	began := time.Now()
	_, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
	if !errors.Is(err, redislink.ErrUnavailable) || !errors.Is(err, accept.ErrOutcomeUnknown) {
		t.Errorf("paused, on its way: %v, want an unknown outcome", err)
	}
	_, err = p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
	if !errors.Is(err, redislink.ErrUnavailable) || errors.Is(err, accept.ErrOutcomeUnknown) {
		t.Errorf("paused, not connected: %v, want not published", err)
	}
	if took := time.Since(began); took > 20*time.Second { // on a busy machine too
		t.Errorf("two calls took %v, each is bounded by twice 1 s", took)
	}
	s.Resume()
	eventually(t, "publishing works after Resume", func() bool {
		_, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
		return err == nil
	})

	s.Kill()
	if _, err = p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("killed: %v, want ErrUnavailable", err)
	}
	// With many callers none waits for long, and memory does not grow.
	var wg sync.WaitGroup
	began = time.Now()
	many := make([]feed.Quote, 3000)
	for i := range many {
		many[i] = eurusd("1", "2")
	}
	for range 8 {
		wg.Go(func() {
			o, err := p.Publish(t.Context(), many)
			if !errors.Is(err, redislink.ErrUnavailable) || o[0].Known() {
				t.Errorf("killed: %v, %+v", err, o[0])
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the calls took %v, each is bounded by twice 1 s", took)
	}
	if lost := metric(t, reg, "fx_feed_published_total", "lost"); lost < 24000 {
		t.Errorf("%v quotes counted as lost, want at least 24000", lost)
	}
	// A quote that was given up must not be published later. Only an attempt with an unknown
	// outcome may have been published.
	s.Restart()
	unknown := uint64(0)
	eventually(t, "publishing works after Restart", func() bool {
		o, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")})
		if errors.Is(err, accept.ErrOutcomeUnknown) {
			unknown++
		}
		if err == nil && o[0].Seq > 1+unknown {
			t.Errorf("after the restart: %+v, want at most number %d", o[0], 1+unknown)
		}
		return err == nil
	})
	eventually(t, "the queue is empty", func() bool { return p.Depth() == 0 })
}

func TestPublishRetriesWhatWasNotExecuted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Timeout = time.Minute })
	s.Kill()
	done := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.Background(), []feed.Quote{eurusd("1", "2")})
		done <- err
	}()
	s.Restart()
	if err := <-done; err != nil {
		t.Errorf("Redis came back within the timeout: %v, want success", err)
	}
	if n := c.XLen(t.Context(), keys.Ticks("EUR/USD")).Val(); n != 1 {
		t.Errorf("%d quotes in the history, want 1", n)
	}
}

func TestPublishRefusedByRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	p := startPublisher(t, c)
	c.Set(t.Context(), keys.Seq("EUR/USD"), "x", 0)
	o, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2"), {Symbol: "GBP/USD", Bid: "1", Ask: "1"}})
	if !errors.Is(err, redislink.ErrUnavailable) || errors.Is(err, accept.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("wrong type: %v, want not published, WRONGTYPE", err)
	}
	if o[0].Known() || o[1].Seq != 1 {
		t.Errorf("outcomes %+v, want only the second known", o)
	}
}

func TestPublishCancelled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := startPublisher(t, s.Client())
	publishOne(t, p, eurusd("1", "2"))
	s.Pause()
	defer s.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := p.Publish(ctx, []feed.Quote{eurusd("1", "2")}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v, want the context's error at once", err, time.Since(began))
	}
}

func TestPublishAfterStop(t *testing.T) {
	t.Parallel()
	c, _ := redistest.Embedded(t)
	p := accept.NewPublisher(accept.PublisherConfig{Redis: c, Keys: keys})
	stop := start(t, p.Run)
	publishOne(t, p, eurusd("1", "2"))
	stop()
	if _, err := p.Publish(t.Context(), []feed.Quote{eurusd("1", "2")}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("after Run: %v, want ErrUnavailable", err)
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("a second Run was allowed")
	}
}

func BenchmarkPublish(b *testing.B) {
	s := redistest.Start(b)
	p := startPublisher(b, s.Client())
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			quotes := make([]feed.Quote, size)
			for i := range quotes {
				quotes[i] = eurusd("1.08501", "1.08513")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(context.Background(), quotes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "quotes/s")
		})
	}
}
