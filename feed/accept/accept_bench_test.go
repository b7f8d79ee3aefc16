package accept_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// BenchmarkAccept compares a Publisher with what it replaces: SET and PUBLISH
// of the same text in pipelines of the same length, which give no number, keep
// no history and check nothing. The two take turns on one server with one
// receiver of everything, so that a busy machine slows both. The gate judges with
// its default limits. ratio is the
// median of the rounds' quotients of accepted quotes per second.
func BenchmarkAccept(b *testing.B) {
	const pipeline = 256
	for _, symbols := range [][]feed.Symbol{someSymbols(1), someSymbols(28), someSymbols(256)} {
		b.Run(fmt.Sprintf("symbols=%d", len(symbols)), func(b *testing.B) {
			s := redistest.Start(b)
			c, ctx := s.Client(), context.Background()
			receiveAll(b, s.Addr(), keys.ChannelPattern())
			p := startPublisher(b, c, func(cfg *accept.PublisherConfig) { cfg.Gate = accept.DefaultGate })
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
					pipe.Publish(ctx, keys.Channel(q.Symbol), texts[i])
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
		})
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// receiveAll reads what is published until the test ends, and looks at nothing.
func receiveAll(t testing.TB, addr, pattern string) {
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
	fmt.Fprintf(conn, "*2\r\n$10\r\nPSUBSCRIBE\r\n$%d\r\n%s\r\n", len(pattern), pattern)
	go func() {
		defer close(done)
		io.Copy(io.Discard, conn)
	}()
}
