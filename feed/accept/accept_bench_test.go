package accept_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// BenchmarkAccept compares a Publisher with what it replaces: SET and PUBLISH
// of the same text in pipelines of the same length, which give no number, keep
// no history and check nothing. The two take turns on one server or one cluster
// with one receiver of everything, so that a busy machine slows both. The gate
// judges with its default limits, and candles are kept or not. ratio is the
// median of the rounds' quotients of accepted quotes per second.
func BenchmarkAccept(b *testing.B) {
	for _, candles := range []bool{false, true} {
		for _, n := range []int{1, 28, 256} {
			symbols := someSymbols(n)
			b.Run(fmt.Sprintf("candles=%v/symbols=%d", candles, n), func(b *testing.B) {
				s := redistest.Start(b)
				receiveAll(b, s.Addr(), "PSUBSCRIBE", keys.ChannelPattern())
				benchmarkAccept(b, s.Client(), symbols, candles, redis.Pipeliner.Publish)
			})
		}
	}
	for _, n := range []int{28, 256} {
		symbols := someSymbols(n)
		b.Run(fmt.Sprintf("cluster/symbols=%d", n), func(b *testing.B) {
			c := redistest.StartCluster(b)
			channels := map[int][]string{} // by master
			for _, s := range symbols {
				master := c.Owner(c.SlotOf(keys.Channel(s)))
				channels[master] = append(channels[master], keys.Channel(s))
			}
			for master, of := range channels {
				receiveAll(b, c.Addrs()[master], "SSUBSCRIBE", of...)
			}
			benchmarkAccept(b, c.Client(), symbols, false, redis.Pipeliner.SPublish)
		})
	}
}

func benchmarkAccept(b *testing.B, c redis.UniversalClient, symbols []feed.Symbol, candles bool, publish func(redis.Pipeliner, context.Context, string, any) *redis.IntCmd) {
	const pipeline = 256
	ctx := context.Background()
	p := startPublisher(b, c, func(cfg *accept.PublisherConfig) {
		if cfg.Gate = accept.DefaultGate; candles {
			cfg.Candles = candleArgs(b, "1m:72h,1h:60d,1d:5y", time.Time{}).Candles
		}
	})
	quotes := make([]feed.Quote, pipeline)
	texts := make([]string, pipeline)
	for i := range quotes {
		at := time.Now()
		quotes[i] = feed.Quote{Symbol: symbols[i%len(symbols)], Bid: "1.08501", Ask: "1.08513", Time: at, Source: "lmax"}
		texts[i] = string(feed.Tick{Symbol: quotes[i].Symbol, Bid: quotes[i].Bid, Ask: quotes[i].Ask, Time: at.UTC(), Source: "lmax", Epoch: "aaaa2222", Seq: 123456, At: at.UnixMicro()}.AppendJSON(nil))
	}
	plain := func() error {
		pipe := c.Pipeline()
		for i, q := range quotes {
			pipe.Set(ctx, keys.Quote(q.Symbol), texts[i], time.Minute)
			publish(pipe, ctx, keys.Channel(q.Symbol), texts[i])
		}
		_, err := pipe.Exec(ctx)
		return err
	}
	accepting := func() error {
		now := time.Now()
		for i := range quotes {
			quotes[i].Time = now
		}
		o, err := p.Publish(ctx, quotes)
		if err == nil && (o[0].Seq == 0 || o[pipeline-1].Seq == 0) {
			err = fmt.Errorf("not accepted: %+v", o[0])
		}
		return err
	}
	timed := func(f func() error) float64 {
		const rounds = 20
		began := time.Now()
		for range rounds {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return rounds * pipeline / time.Since(began).Seconds()
	}
	timed(plain)
	timed(accepting)
	var ratios, plains, accepts []float64
	for b.Loop() {
		x, y := timed(plain), timed(accepting)
		plains, accepts, ratios = append(plains, x), append(accepts, y), append(ratios, y/x)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(plains), "plain/s")
	b.ReportMetric(median(accepts), "accepted/s")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// receiveAll reads what is published to the channels until the test ends, and looks at nothing.
func receiveAll(t testing.TB, addr, subscribe string, channels ...string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	for _, channel := range channels {
		fmt.Fprintf(conn, "*2\r\n$10\r\n%s\r\n$%d\r\n%s\r\n", subscribe, len(channel), channel)
	}
	go func() {
		defer close(done)
		io.Copy(io.Discard, conn)
	}()
}
